"""`/v1/entities`: the merged view."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, LiteralString

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from mainstem.api import bodies, shapes
from mainstem.api.database import told
from mainstem.api.description import answers, problems, resource
from mainstem.api.fields import narrowed
from mainstem.api.filters import Filtered
from mainstem.api.parameters import Fields, IfNoneMatch, cursor_of, is_known, key_of, not_modified
from mainstem.api.problems import Problem
from mainstem.api.references import parse_ref
from mainstem.api.rendering import JsonAnswer
from mainstem.api.routing import Admitting
from schemas.refs import EntityRef
from schemas.statements import statements

router = APIRouter(prefix="/v1", tags=["entities"], route_class=Admitting)

_QUERIES: Final = statements(Path(__file__).with_name("queries.sql"))
_DOCUMENTS: Final = frozenset({"entity", "service", "provenance"})
_COLUMNS: Final = (
    "entity_ref",
    "entity",
    "service",
    "provenance",
    "version",
    "content_hash",
    "merged_at",
    "stale",
    "touched",
)
_FRESHNESS: Final = frozenset({"provenance", "stale", "touched"})
"""What it is told by."""
_NEEDED: Final = {"list_entities": "entity_ref", "get_entity": "version"}
"""Whatever is asked for: a page goes on after its last reference, one entity has an ETag."""
_REMEMBERED_CHARS: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """How entities are read of which *fields* are asked for. Postgres makes nothing that nobody asks for."""

    statement: LiteralString
    documents: tuple[str, ...]
    is_fresh: bool
    """Whether the answer tells the freshness."""
    narrowed_to: str | None
    """None where what is read is what is asked for."""


@router.get("/entities", responses=answers(200, bodies.EntityList, "Merged entities, by reference."))
async def list_entities(request: Request, query: Filtered) -> Response:
    """Return merged entities in the order of their references; filters of one kind are joined by "or"."""
    limit, fields = query.limit, query.fields
    filters = await query.parameters(request)
    parameters = {**filters, "after": key_of(query.cursor) or "", "limit": limit + 1}
    reading = _reading("list_entities", fields)
    rows = await _rows(request, reading, parameters)
    more = len(rows) > limit
    items = [_item(row, reading) for row in rows[:limit]]
    next_cursor = cursor_of(rows[limit - 1]["entity_ref"]) if more else None
    return JsonAnswer({"items": items, "next_cursor": next_cursor})


@router.get("/entities/{ref:ref}", responses=resource(bodies.Entity, "The merged entity.") | problems(404))
async def get_entity(request: Request, ref: str, fields: Fields = None, if_none_match: IfNoneMatch = None) -> Response:
    """Return one merged entity, by its reference in any case."""
    parsed = parse_ref(ref)
    reading = _reading("get_entity", fields)
    rows = await _rows(request, reading, {"ref": str(parsed)})
    if not rows:
        raise Problem(404, "Not found", f"there is no entity {parsed}")
    etag = _etag(rows[0])
    if is_known(etag, if_none_match):
        return not_modified(etag)
    return JsonAnswer(_item(rows[0], reading), headers={"ETag": etag})


async def etag_of(request: Request, ref: EntityRef) -> str | None:
    """Return the ETag under which the entity is answered, None where there is none."""
    rows = await _rows(request, _reading("get_entity", "version"), {"ref": str(ref)})
    return _etag(rows[0]) if rows else None


def _etag(row: dict[str, Any]) -> str:
    return f'"{row["version"]}"'


def _item(row: dict[str, Any], reading: _Reading) -> dict[str, Any]:
    winners = _winners_of(row["provenance"]) if reading.is_fresh else None
    for name in reading.documents:
        row[name] = orjson.Fragment(row[name])
    return narrowed(shapes.entity(row, winners) if winners else row, reading.narrowed_to)


def _winners_of(provenance: str) -> shapes.Winners:
    return _winners(provenance) if len(provenance) <= _REMEMBERED_CHARS else _read(provenance)


def _read(provenance: str) -> shapes.Winners:
    return shapes.Winners.of(orjson.loads(provenance))


_winners: Final = lru_cache(maxsize=4_096)(_read)
"""Most entities of a catalogue have the word of the same few connectors on the same fields."""


async def _rows(request: Request, reading: _Reading, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return rows with their documents as text."""
    prepare = False if parameters.get("q") or parameters.get("refs") is not None else None
    return await told(request, reading.statement, parameters, prepare=prepare)


def _reading(query: str, fields: str | None) -> _Reading:
    asked = tuple(path.strip() for path in fields.split(",")) if fields else (*_COLUMNS, "freshness")
    parts = {path.partition(".")[0] for path in asked}
    is_fresh = "freshness" in parts
    needed = parts | {_NEEDED[query]} | (_FRESHNESS if is_fresh else set())
    columns = tuple(name for name in _COLUMNS if name in needed)
    return _Reading(
        statement=_statement(query, columns),
        documents=tuple(name for name in columns if name in _DOCUMENTS),
        is_fresh=is_fresh,
        narrowed_to=None if asked == columns else fields,
    )


@lru_cache(maxsize=64)
def _statement(query: str, columns: tuple[str, ...]) -> LiteralString:
    read = ", ".join(f"{name}::text AS {name}" if name in _DOCUMENTS else name for name in columns)
    written = _QUERIES[query].strip().removesuffix(";")
    return f"SELECT {read} FROM ({written}) AS held ORDER BY entity_ref"  # noqa: S608 - names of columns alone
