"""`/v1/connectors`: where they stand, and steering them."""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from psycopg import AsyncConnection
from pydantic import ValidationError as Unfit

from mainstem.access.scopes import OPERATE
from mainstem.api import access, bodies, standings
from mainstem.api.changes import object_of, refused
from mainstem.api.database import asking
from mainstem.api.description import answers, problems, resource
from mainstem.api.fields import narrowed
from mainstem.api.parameters import Cursor, Fields, IfNoneMatch, Limit, cursor_of, number_of, page_of, single
from mainstem.api.routing import Admitting
from schemas.canonical import pointer
from sources import steering
from sources.steering import Configured

router = APIRouter(prefix="/v1/connectors", tags=["connectors"], route_class=Admitting)

_STATUS: Final = answers(200, bodies.Status, "Where the connector stands now.") | problems(404, 409)

_SYNC: Final[dict[str, Any]] = {
    "requestBody": {
        "required": False,
        "description": bodies.SyncRequest.__doc__,
        "content": {"application/json": {"schema": bodies.SyncRequest.model_json_schema()}},
    }
}

Steer = Callable[[AsyncConnection, Configured], Awaitable[None]]


@router.get("", responses=answers(200, bodies.StatusList, "The configured connectors, by id."))
async def list_connectors(
    request: Request, limit: Limit = 50, cursor: Cursor = None, fields: Fields = None
) -> JSONResponse:
    """Return where every configured connector stands."""
    every = sorted(configured(request), key=lambda each: each.id)
    page, next_cursor = page_of(every, lambda each: each.id, limit, cursor)
    async with asking(request) as connection:
        found = await steering.statuses(connection, page)
    items = [narrowed(standings.status(*each), fields) for each in zip(page, found, strict=True)]
    return JSONResponse({"items": items, "next_cursor": next_cursor, "total": len(every)})


@router.get(
    "/{connector_id}/status",
    responses=resource(bodies.Status, "Where the connector stands.") | problems(404),
)
async def get_status(
    request: Request, connector_id: str, fields: Fields = None, if_none_match: IfNoneMatch = None
) -> Response:
    """Return where one connector stands."""
    return single(await status(request, find(request, connector_id)), fields, if_none_match)


@router.post(
    "/{connector_id}/sync",
    status_code=202,
    responses=answers(202, bodies.Status, "A run was asked for.") | problems(404, 409, 413, 422),
    openapi_extra={**_SYNC, **access.needs(OPERATE)},
)
async def request_sync(request: Request, connector_id: str) -> JSONResponse:
    """Ask for a run now; 409 while one is under way. Of a paused connector it waits until it is resumed."""
    wanted = await _wanted(request)
    return JSONResponse(await sync(request, connector_id, full=wanted.full), 202)


async def _wanted(request: Request) -> bodies.SyncRequest:
    """Return what the body asks for; nothing and null ask for the usual. Raises Problem 422."""
    body = (await request.body()).strip()
    if body in (b"", b"null"):
        return bodies.SyncRequest()
    try:
        return bodies.SyncRequest.model_validate(await object_of(request))
    except Unfit as error:
        raise refused((pointer(*map(str, each["loc"])), each["msg"]) for each in error.errors()) from None


@router.post("/{connector_id}/pause", responses=_STATUS, openapi_extra=access.needs(OPERATE))
async def pause(request: Request, connector_id: str) -> JSONResponse:
    """Start no run until the connector is resumed."""
    return JSONResponse(await steered(request, connector_id, steering.pause))


@router.post("/{connector_id}/resume", responses=_STATUS, openapi_extra=access.needs(OPERATE))
async def resume(request: Request, connector_id: str) -> JSONResponse:
    """Undo a pause."""
    return JSONResponse(await steered(request, connector_id, steering.resume))


@router.post("/{connector_id}/reset", responses=_STATUS, openapi_extra=access.needs(OPERATE))
async def reset(request: Request, connector_id: str) -> JSONResponse:
    """End the run under way, forget cursor and failures, and publish everything anew. Nothing is deleted by it."""
    return JSONResponse(await steered(request, connector_id, steering.reset))


@router.get(
    "/{connector_id}/runs",
    responses=answers(200, bodies.RunList, "Runs, the newest first.") | problems(404),
)
async def list_runs(
    request: Request, connector_id: str, limit: Limit = 50, cursor: Cursor = None, fields: Fields = None
) -> JSONResponse:
    """Return the runs of a connector and what each came to."""
    connector, before = find(request, connector_id), number_of(cursor)
    async with asking(request) as connection:
        rows = await steering.runs(connection, connector, limit=limit + 1, cursor=before)
    items = [narrowed(standings.run(row), fields) for row in rows[:limit]]
    next_cursor = cursor_of(str(rows[limit - 1]["run"])) if len(rows) > limit else None
    return JSONResponse({"items": items, "next_cursor": next_cursor})


@router.get(
    "/{connector_id}/held-deletions",
    responses=answers(200, bodies.HoldList, "What can be approved or rejected.") | problems(404),
)
async def list_holds(
    request: Request, connector_id: str, limit: Limit = 50, cursor: Cursor = None, fields: Fields = None
) -> JSONResponse:
    """Return the deletes that wait for a decision."""
    connector = find(request, connector_id)
    async with asking(request) as connection:
        found = await steering.holds(connection, connector)
    by_id = sorted(found, key=lambda each: str(each.hold_id))
    page, next_cursor = page_of(by_id, lambda each: str(each.hold_id), limit, cursor)
    items = [narrowed(standings.hold(each), fields) for each in page]
    return JSONResponse({"items": items, "next_cursor": next_cursor})


@router.post(
    "/{connector_id}/held-deletions/{hold_id}/approve",
    status_code=202,
    responses=answers(202, bodies.Decision, "The deletes are being published.") | problems(404, 409),
    openapi_extra=access.needs(OPERATE),
)
async def approve(request: Request, connector_id: str, hold_id: UUID) -> JSONResponse:
    """Let held deletions happen: whoever runs the connector publishes them."""
    connector = find(request, connector_id)
    async with asking(request) as connection:
        await steering.approve(connection, connector, hold_id, by=access.caller_of(request).name)
    return JSONResponse({"hold_id": str(hold_id), "state": "approved"}, 202)


@router.post(
    "/{connector_id}/held-deletions/{hold_id}/reject",
    responses=answers(200, bodies.Decision, "The entities are kept until they are seen again.") | problems(404, 409),
    openapi_extra=access.needs(OPERATE),
)
async def reject(request: Request, connector_id: str, hold_id: UUID) -> JSONResponse:
    """Keep the entities of held deletions."""
    connector = find(request, connector_id)
    async with asking(request) as connection:
        await steering.reject(connection, connector, hold_id, by=access.caller_of(request).name)
    return JSONResponse({"hold_id": str(hold_id), "state": "rejected"})


def configured(request: Request) -> tuple[Configured, ...]:
    """Return the connectors of the caller's tenant."""
    every: tuple[Configured, ...] = request.app.state.settings.connectors
    tenant = access.caller_of(request).tenant
    return tuple(each for each in every if each.tenant == tenant)


def find(request: Request, connector_id: str) -> Configured:
    return steering.find(configured(request), connector_id)


async def status(request: Request, connector: Configured) -> dict[str, Any]:
    async with asking(request) as connection:
        return standings.status(connector, await steering.status(connection, connector))


async def steered(request: Request, connector_id: str, steer: Steer) -> dict[str, Any]:
    """Steer one connector; return its status after that."""
    connector = find(request, connector_id)
    async with asking(request) as connection:
        await steer(connection, connector)
    return await status(request, connector)


async def sync(request: Request, connector_id: str, *, full: bool) -> dict[str, Any]:
    """Ask for a run of one connector; return its status after that."""
    connector = find(request, connector_id)
    async with asking(request) as connection:
        await steering.request_sync(connection, connector, full=full)
    return await status(request, connector)
