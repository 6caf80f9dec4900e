"""`/v1/simulate`: what would differ without a connector, or with another policy. Nothing is changed by asking."""

import asyncio
import time
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mainstem.access.scopes import READ
from mainstem.api import access, question_bodies
from mainstem.api.database import ask
from mainstem.api.description import answers, problems
from mainstem.api.outages import present_policy
from mainstem.api.parameters import Limit
from mainstem.api.problems import Problem
from mainstem.api.rendering import JsonAnswer
from mainstem.api.routing import Admitting
from mainstem.held import record_of
from mainstem.simulation.benches import AbandonedError, Benches, BusyError
from mainstem.simulation.catalogue import Failure, task_of
from mainstem.simulation.difference import Comparison, Tally, difference
from mainstem.simulation.supposition import Supposition, UnfitError, supposed
from schemas.canonical import parse_json
from schemas.errors import DecodeError, MergeError

router = APIRouter(prefix="/v1", tags=["questions"], route_class=Admitting)

_GONE: Final = 499
"""Nobody reads it: whoever asked has gone."""


@router.post(
    "/simulate",
    responses=answers(200, question_bodies.Simulation, "What would differ.") | problems(404, 409, 413, 422, 429),
    openapi_extra={**question_bodies.SIMULATION, **access.needs(READ)},
)
async def simulate(request: Request, limit: Limit = 50) -> Response:
    """Merge the held records anew as supposed, of one entity or of all, and tell what would differ from how they merge
    now; the sample holds the first entities, by reference. A few simulations run at a time, others are answered 429.
    """
    policy = await present_policy(request)
    try:
        supposition = supposed(parse_json(await request.body()), policy)
    except DecodeError as error:
        raise _unfit([("", str(error))]) from None
    except UnfitError as error:
        raise _unfit(error.faults) from None
    await _require_known(request, supposition)
    comparison = Comparison(
        before=policy, after=supposition.policy, without=supposition.without, now=time.time() * 1000
    )
    if supposition.entity_ref is not None:
        found = await _of_one(request, supposition.entity_ref, comparison)
    else:
        found = await _of_all(request, supposition, comparison, limit)
    return JsonAnswer({"changed": found.changed, "removed": found.removed, "sample": found.sample})


async def _of_one(request: Request, ref: str, comparison: Comparison) -> Tally:
    rows = await ask(request, "records", ref=ref)
    if not rows:
        raise Problem(404, "Not found", f"no record of {ref} is held")
    found = Tally(limit=1)
    try:
        found.add(ref, await asyncio.to_thread(difference, map(record_of, rows), comparison))
    except MergeError as error:
        raise Problem(409, "Conflict", f"{ref}: {error}") from None
    return found


async def _of_all(request: Request, supposition: Supposition, comparison: Comparison, limit: int) -> Tally:
    if supposition.touched is not None and not supposition.touched:
        return Tally(limit)
    tenant = access.caller_of(request).tenant
    dsn: str = request.app.state.settings.dsn
    task = task_of(dsn, tenant, comparison, touched=supposition.touched, limit=limit)
    benches: Benches = request.app.state.benches
    gone = asyncio.create_task(_gone(request))
    try:
        found = await benches.run(task, gone)
    except BusyError:
        told = "as many simulations run as may; try again"
        raise Problem(429, "Too many requests", told) from None
    except AbandonedError:
        raise Problem(_GONE, "Client closed request", "whoever asked has gone") from None
    finally:
        gone.cancel()
    if isinstance(found, Failure):
        if found.entity_ref is None:
            raise Problem(503, "Service unavailable", found.sentence)
        raise Problem(409, "Conflict", f"{found.entity_ref}: {found.sentence}")
    return found


async def _gone(request: Request) -> None:
    """Return once whoever asked has gone. (Behind a middleware, `request.is_disconnected` never learns of it.)"""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _require_known(request: Request, supposition: Supposition) -> None:
    """Refuse a connector that nobody has heard of: that nothing would differ without it were no answer."""
    tenant, settings = access.caller_of(request).tenant, request.app.state.settings
    # Of another tenant's connectors nothing is told, not even that they are there.
    theirs = {each.id for each in settings.connectors if each.tenant != tenant}
    asked = sorted(set(supposition.named.values()) - (settings.policy.connectors.keys() - theirs))
    if not asked:
        return
    known = {row["connector"] for row in await ask(request, "connectors_held", connectors=asked)}
    faults = [
        (at, "is no connector that is configured or holds a record")
        for at, name in supposition.named.items()
        if name in asked and name not in known
    ]
    if faults:
        raise _unfit(faults)


def _unfit(faults: list[tuple[str, str]]) -> Problem:
    told: list[dict[str, Any]] = [{"at": at, "reason": reason} for at, reason in faults]
    detail = "; ".join(f"{at or '/'}: {reason}" for at, reason in faults)
    return Problem(422, "Unprocessable content", detail, faults=told)
