"""`/v1/history` and `/v1/entities/{ref}/history`: who changed what, when, and from which connector."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from mainstem.api import bodies, entities, shapes
from mainstem.api.database import ask
from mainstem.api.description import answers, problems
from mainstem.api.fields import narrowed
from mainstem.api.parameters import Cursor, Fields, Limit, cursor_of, foreign_cursor, key_of
from mainstem.api.problems import Problem
from mainstem.api.references import is_name, parse_ref
from mainstem.api.rendering import JsonAnswer
from mainstem.api.routing import Admitting

router = APIRouter(prefix="/v1", tags=["history"], route_class=Admitting)

_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_NEWEST: Final = 2**63 - 1

Since = Annotated[
    str | None,
    Query(
        description="Only changes from this moment on, RFC 3339. A `+` is written `%2B` in a query.",
        examples=["2026-11-20T09:30:00Z"],
        json_schema_extra={"format": "date-time"},
    ),
]


class _Place(NamedTuple):
    """Where the next page begins: behind the change that the one before ended with."""

    at: str = "infinity"
    version: int = _NEWEST
    ref: str = ""


@router.get("/history", responses=answers(200, bodies.ChangeList, "Changes, newest first."))
async def list_history(
    request: Request, since: Since = None, limit: Limit = 50, cursor: Cursor = None, fields: Fields = None
) -> Response:
    """Return what changed in all entities: the first question in an incident."""
    begin, place = _moment(since), _place(cursor)
    rows = await ask(request, "history", since=begin, **place._asdict(), limit=limit + 1)
    return _page(rows, limit, fields)


@router.get(
    "/entities/{ref:ref}/history",
    responses=answers(200, bodies.ChangeList, "Changes of the entity, newest first.") | problems(404),
)
async def entity_history(
    request: Request, ref: str, limit: Limit = 50, cursor: Cursor = None, fields: Fields = None
) -> Response:
    """Return what changed in one entity, also after it has vanished."""
    if is_name(request, "history"):
        return await entities.get_entity(request, f"{ref}/history", fields)
    parsed, place = str(parse_ref(ref)), _place(cursor)
    rows = await ask(request, "entity_history", ref=parsed, version=place.version, at=place.at, limit=limit + 1)
    if not rows and cursor is None and not await ask(request, "was_entity", ref=parsed):
        raise Problem(404, "Not found", f"there is no entity {parsed}, and no change of one is kept")
    return _page(rows, limit, fields)


def _page(rows: list[dict[str, Any]], limit: int, fields: str | None) -> Response:
    items = [narrowed({**row, "at": shapes.timestamp(row["at"])}, fields) for row in rows[:limit]]
    next_cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        next_cursor = cursor_of(f"{last['at'].isoformat()} {last['version']} {last['entity_ref']}")
    return JsonAnswer({"items": items, "next_cursor": next_cursor})


def _place(cursor: str | None) -> _Place:
    key = key_of(cursor)
    if key is None:
        return _Place()
    try:
        at, version, ref = key.split(" ")
        return _Place(datetime.fromisoformat(at).astimezone(UTC).isoformat(), _int64(version), ref)
    except (ValueError, OverflowError):
        raise foreign_cursor() from None


def _int64(text: str) -> int:
    number = int(text)
    if not -_NEWEST - 1 <= number <= _NEWEST:
        raise ValueError
    return number


def _moment(since: str | None) -> str:
    """Return what Postgres reads as that moment. Raises Problem 400."""
    if since is None:
        return "-infinity"
    try:
        written = since.upper() if _RFC_3339.fullmatch(since) else "no moment"
        return datetime.fromisoformat(written).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        told = "since is a moment in RFC 3339 with a time zone, such as 2026-11-20T09:30:00Z (a + is written %2B)"
        raise Problem(400, "Bad request", told) from None
