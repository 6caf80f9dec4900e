"""`/v1/teams`: teams with their services."""

import time

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mainstem.api import bodies, canonical
from mainstem.api.database import ask, one, whole
from mainstem.api.description import answers, problems, resource
from mainstem.api.fields import narrowed
from mainstem.api.parameters import Cursor, Fields, IfNoneMatch, Limit, cursor_of, key_of, single
from mainstem.api.rendering import JsonAnswer
from mainstem.api.routing import Admitting

router = APIRouter(prefix="/v1/teams", tags=["teams"], route_class=Admitting)


@router.get("", responses=answers(200, bodies.TeamList, "Teams, by reference."))
async def list_teams(request: Request, limit: Limit = 50, cursor: Cursor = None, fields: Fields = None) -> Response:
    """Return teams with their services, in the order of their references."""
    found = await ask(request, "list_teams", after=key_of(cursor) or "", limit=limit + 1)
    rows = await whole(request, "team", found[:limit])
    items = [narrowed(canonical.team(row, now=time.time()), fields) for row in rows]
    next_cursor = cursor_of(found[limit - 1]["entity_ref"]) if len(found) > limit else None
    return JsonAnswer({"items": items, "next_cursor": next_cursor})


@router.get("/{id:ref}", responses=resource(bodies.Team, "The team and its services.") | problems(404, 409))
async def get_team(
    request: Request,
    id: str,  # noqa: A002 - as the path calls it
    fields: Fields = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return one team with its services, by its id, its reference in any case, or its name where no other has it."""
    row = await one(request, "team", id)
    now = time.time()
    found, told = (canonical.team(row, now=now, has_age=has_age) for has_age in (True, False))
    return single(found, fields, if_none_match, told=told)
