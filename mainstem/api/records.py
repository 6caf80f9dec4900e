"""`/v1/entities/{ref}/records` and `/explain`: what each connector says, and who won."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from mainstem.api import bodies, entities
from mainstem.api.database import ask
from mainstem.api.description import answers, problems, resource
from mainstem.api.fields import narrowed
from mainstem.api.outages import present_policy
from mainstem.api.parameters import Fields, IfNoneMatch, single
from mainstem.api.problems import Problem
from mainstem.api.references import is_name, parse_ref
from mainstem.api.rendering import JsonAnswer
from mainstem.api.routing import Admitting
from mainstem.api.shapes import moment
from mainstem.held import record_of
from mainstem.overrides.fields import MalformedPointerError, parse_field
from schemas.canonical import pointer
from schemas.errors import MergeError
from schemas.records import NEVER, Record
from schemas.refs import EntityRef
from streams.expiry import Band, band, stale_at
from streams.explain import Explanation as Explained
from streams.explain import Leaf, Standing, explain
from streams.policy import Policy

router = APIRouter(prefix="/v1/entities", tags=["entities"], route_class=Admitting)

_LIVES: Final = {Band.FRESH: "fresh", Band.STALE: "stale", Band.DEAD: "dead"}

Pointer = Annotated[str, Query(description="Only this field and what is below, such as `/spec/owner`.")]


@router.get("/{ref:ref}/records", responses=answers(200, bodies.RecordList, "Records, by connector.") | problems(404))
async def list_records(request: Request, ref: str, fields: Fields = None) -> Response:
    """Return what each connector says of the entity, unmerged, as it stands now."""
    if is_name(request, "records"):
        return await entities.get_entity(request, f"{ref}/records", fields)
    records, policy, now = await _held(request, parse_ref(ref)), await present_policy(request), time.time() * 1000
    items = [narrowed(_shape(each, policy, now), fields) for each in records]
    return JsonAnswer({"items": items, "next_cursor": None})


@router.get(
    "/{ref:ref}/explain", responses=resource(bodies.Explanation, "Who won, who lost, and why.") | problems(404, 409)
)
async def explain_entity(
    request: Request, ref: str, field: Pointer = "", fields: Fields = None, if_none_match: IfNoneMatch = None
) -> Response:
    """Return per field who won, who lost and why, as a merge under the configuration of this process would go now."""
    if is_name(request, "explain"):
        return await entities.get_entity(request, f"{ref}/explain", fields, if_none_match)
    asked, parsed = _asked(field), parse_ref(ref)
    records, policy, now = await _held(request, parsed), await present_policy(request), time.time() * 1000
    try:
        found = explain(records, policy, now=now)
    except MergeError as error:
        raise Problem(409, "Conflict", str(error)) from None
    leaves = found.at(asked)
    if not leaves:
        raise Problem(404, "Not found", _nothing_at(found, asked, parsed))
    lives = {each.connector: each for each in found.standings}
    shapes = [{leaf.pointer: _leaf(leaf, lives, at) for leaf in leaves} for at in (now, None)]
    return single({"fields": shapes[0]}, fields, if_none_match, told={"fields": shapes[1]})


def _asked(field: str) -> str:
    """Return the pointer that is asked for. Raises Problem 400."""
    try:
        return pointer(*parse_field(field)) if field else ""
    except MalformedPointerError as error:
        raise Problem(400, "Malformed field", str(error), position=error.position) from None


def _nothing_at(found: Explained, at: str, ref: EntityRef) -> str:
    if found.entity is None:
        return f"no live record asserts {ref}"
    whole = next((each.pointer for each in found.leaves if at.startswith(f"{each.pointer}/")), None)
    if whole is None:
        return f"no live record says anything about {at} of {ref}"
    return f"a field is won whole: {at} of {ref} lies in {whole}, which can be asked for"


async def _held(request: Request, ref: EntityRef) -> list[Record]:
    rows = await ask(request, "records", ref=str(ref))
    if not rows:
        raise Problem(404, "Not found", f"no record of {ref} is held")
    return [record_of(row) for row in rows]


def _shape(record: Record, policy: Policy, now: float) -> dict[str, Any]:
    priority, expires = policy.priority(record), stale_at(record, policy)
    body = {"entity": None, "service": None} if record.is_delete else record.body
    return {
        "connector": record.connector,
        "priority": None if priority == NEVER else priority,
        "state": "deleted" if record.is_delete else _LIVES[band(record, policy, now)],
        "observed_at": moment(record.observed_at),
        "expires_at": None if expires == NEVER or record.is_delete else moment(expires),
        "entity": body["entity"],
        "service": body["service"],
    }


def _leaf(leaf: Leaf, lives: Mapping[str, Standing], now: float | None) -> dict[str, Any]:
    return {
        "value": leaf.value,
        "winners": list(leaf.winners),
        "strategy": leaf.strategy,
        "losers": [{"connector": each.connector, "value": each.value, "reason": each.reason} for each in leaf.losers],
        "freshness": _freshness(lives[leaf.winners[0]], now) if leaf.winners else None,
    }


def _freshness(winner: Standing, now: float | None) -> dict[str, Any]:
    """*now*: epoch ms; None leaves the age out."""
    age = None if now is None else max(0, round((now - winner.observed_at) / 1000))
    return {"state": winner.life, "age_seconds": age, "source": winner.connector}
