"""`/v1/services`: the canonical model, for those who have an incident."""

import time
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from mainstem.api import bodies, canonical
from mainstem.api.database import ask, one, whole
from mainstem.api.description import answers, problems, resource
from mainstem.api.fields import narrowed
from mainstem.api.filters import Filtered
from mainstem.api.graph import graph
from mainstem.api.parameters import Fields, IfNoneMatch, cursor_of, key_of, single
from mainstem.api.problems import Problem
from mainstem.api.references import is_name
from mainstem.api.rendering import JsonAnswer
from mainstem.api.routing import Admitting

router = APIRouter(prefix="/v1/services", tags=["services"], route_class=Admitting)

MAX_DEPTH: Final = 20
_ONE: Final = problems(404, 409)

Depth = Annotated[int, Query(ge=1, le=MAX_DEPTH, description="How many steps to follow.")]
Directions = Annotated[
    Literal["upstream", "downstream", "both"],
    Query(description="`upstream`: what it depends on; `downstream`: what depends on it."),
]


@router.get("", responses=answers(200, bodies.ServiceList, "Services, by reference."))
async def list_services(request: Request, query: Filtered) -> Response:
    """Return services in the order of their references; filters of one kind are joined by "or".

    An owner is a reference, a name or the id of a team.
    """
    filters, limit = await query.parameters(request), query.limit
    found = await ask(request, "list_services", **filters, after=key_of(query.cursor) or "", limit=limit + 1)
    rows = await whole(request, "service", found[:limit])
    items = [narrowed(canonical.service(row, now=time.time()), query.fields) for row in rows]
    next_cursor = cursor_of(found[limit - 1]["entity_ref"]) if len(found) > limit else None
    return JsonAnswer({"items": items, "next_cursor": next_cursor})


@router.get("/{id:ref}/dependencies", responses=resource(bodies.Graph, "The graph around the service.") | _ONE)
async def dependencies(
    request: Request,
    id: str,  # noqa: A002 - as the path calls it
    depth: Depth = 1,
    direction: Directions = "both",
    fields: Fields = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return what the service depends on and what depends on it, to a depth. Cycles end where they close.

    The blast radius is `direction=downstream&depth=20`.
    """
    if is_name(request, "dependencies"):
        return await get_service(request, f"{id}/dependencies", fields, if_none_match)
    return single(await graph(request, id, direction, depth), fields, if_none_match)


@router.get("/{id:ref}/on-call", responses=resource(bodies.OnCall, "Who is on call.") | _ONE)
async def on_call(
    request: Request,
    id: str,  # noqa: A002 - as the path calls it
    fields: Fields = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return who is on call for the service; 404 with the title `not-on-call` when nobody is known to be."""
    if is_name(request, "on-call"):
        return await get_service(request, f"{id}/on-call", fields, if_none_match)
    row = await one(request, "service", id)
    now = time.time()
    found, told = (canonical.on_call(row, now=now, has_age=has_age) for has_age in (True, False))
    if found is None or told is None:
        raise Problem(404, "not-on-call", f"nobody is known to be on call for {row['entity_ref']}")
    return single(found, fields, if_none_match, told=told)


@router.get("/{id:ref}", responses=resource(bodies.Service, "The service.") | _ONE)
async def get_service(
    request: Request,
    id: str,  # noqa: A002 - as the path calls it
    fields: Fields = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return one service, by its id, its reference in any case, or its name where no other has it."""
    row: dict[str, Any] = await one(request, "service", id)
    now = time.time()
    found, told = (canonical.service(row, now=now, has_age=has_age) for has_age in (True, False))
    return single(found, fields, if_none_match, told=told)
