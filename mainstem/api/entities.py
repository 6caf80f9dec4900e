"""`/v1/entities`: the merged view."""

import base64
import binascii
import re
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from psycopg.rows import dict_row

from mainstem.api import shapes
from mainstem.api.fields import narrowed
from mainstem.api.problems import Problem
from schemas.refs import DEFAULT_NAMESPACE, DEFAULT_TENANT, EntityRef
from schemas.statements import statements

router = APIRouter(prefix="/v1")

_QUERIES: Final = statements(Path(__file__).with_name("queries.sql"))
_OUTSIDE: Final = re.compile(r"[^A-Za-z0-9:/._-]")

Many = Annotated[list[str] | None, Query()]


@router.get("/entities")
async def list_entities(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str | None = None,
    kind: Many = None,
    owner: Many = None,
    tier: Many = None,
    lifecycle: Many = None,
    tag: Many = None,
    q: str | None = None,
    fields: str | None = None,
) -> Response:
    """Return merged entities in the order of their references; filters of one kind are joined by "or"."""
    parameters = {
        "tenant": DEFAULT_TENANT,
        "after": _after(cursor),
        "kinds": _lowered(kind),
        "owners": _owners(owner),
        "tiers": tier,
        "lifecycles": lifecycle,
        "tags": tag,
        "q": q or None,
        "limit": limit + 1,
    }
    rows = await _rows(request, "list_entities", parameters)
    more = len(rows) > limit
    items = [narrowed(shapes.entity(row), fields) for row in rows[:limit]]
    next_cursor = _cursor(rows[limit - 1]["entity_ref"]) if more else None
    return JSONResponse({"items": items, "next_cursor": next_cursor})


@router.get("/entities/{ref:path}")
async def get_entity(
    request: Request, ref: str, fields: str | None = None, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """Return one merged entity, by its reference in any case."""
    parsed = parse_ref(ref)
    rows = await _rows(request, "get_entity", {"tenant": DEFAULT_TENANT, "ref": str(parsed)})
    if not rows:
        raise Problem(404, "Not found", f"there is no entity {parsed}")
    etag = f'"{rows[0]["version"]}"'
    if if_none_match is not None and etag in {each.strip() for each in if_none_match.split(",")} | {if_none_match}:
        return Response(status_code=304, headers={"ETag": etag})
    return JSONResponse(narrowed(shapes.entity(rows[0]), fields), headers={"ETag": etag})


def parse_ref(text: str) -> EntityRef:
    """Raises Problem 400 with the position of the first fault."""
    try:
        return EntityRef.parse(text)
    except ValueError as error:
        outside = _OUTSIDE.search(text)
        position = outside.start() if outside else len(text)
        raise Problem(400, "Malformed reference", str(error), position=position) from None


async def _rows(request: Request, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    async with request.app.state.pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_QUERIES[query], parameters)
        rows: list[dict[str, Any]] = await cursor.fetchall()
        return rows


def _after(cursor: str | None) -> str:
    if cursor is None:
        return ""
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise Problem(400, "Bad request", "cursor is none that a list gave") from None


def _cursor(ref: str) -> str:
    return base64.urlsafe_b64encode(ref.encode()).decode()


def _lowered(values: list[str] | None) -> list[str] | None:
    return None if values is None else [value.lower() for value in values]


def _owners(values: list[str] | None) -> list[str] | None:
    """An owner may be written as a reference or as the name of a group."""
    if values is None:
        return None
    prefix = f"group:{DEFAULT_NAMESPACE}/"
    lowered = [value.lower() for value in values]
    names = [value.removeprefix(prefix) for value in lowered]
    return sorted({*lowered, *names, *(prefix + name for name in names), *(f"group:{name}" for name in names)})
