"""Asking the database for one request, and finding what a path names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

from fastapi import Request
from psycopg.rows import dict_row

from mainstem.api.access import caller_of
from mainstem.api.problems import Problem
from mainstem.api.references import parse_ref
from schemas.refs import NAME
from schemas.statements import statements
from sinks.postgres.model import entity_id

QUERIES: Final = {
    name: statement
    for file in ("services.sql", "questions.sql", "history.sql")
    for name, statement in statements(Path(__file__).with_name(file)).items()
}

# Of a list of one the planner believes that a plan for any list costs more, and it plans each request anew, which takes
# longer than the answer.
_ONE: Final = {
    noun: QUERIES[f"{noun}s"].replace("held.id = ANY (%(ids)s::uuid[])", "held.id = %(id)s::uuid")
    for noun in ("service", "team")
}

_PLANNED_ANEW: Final = ("upstream", "downstream")

Noun = Literal["service", "team"]


async def ask(request: Request, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """Return the rows of a statement of QUERIES in the tenant of *request*."""
    async with request.app.state.pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
        # What is asked with lists of any length is planned for the list that is there: a plan for all is one for short.
        prepare = False if query in _PLANNED_ANEW else None
        await cursor.execute(
            _ONE.get(query) or QUERIES[query], {**parameters, "tenant": caller_of(request).tenant}, prepare=prepare
        )
        rows: list[dict[str, Any]] = await cursor.fetchall()
        return rows


async def one(request: Request, noun: Noun, text: str) -> dict[str, Any]:
    """Return the row that *text* names: an id, a reference, or a name that only one has.

    Raises Problem 400 for what is none of them, 404, and 409 for a name that several have.
    """
    rows = await ask(request, noun, id=await _id(request, noun, text))
    if not rows:
        raise _unknown(noun, text)
    return rows[0]


async def whole(request: Request, noun: Noun, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of all that is in *found*, in its order."""
    return await ask(request, f"{noun}s", ids=[each["id"] for each in found]) if found else []


async def _id(request: Request, noun: Noun, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        pass
    if not NAME.fullmatch(text):
        return entity_id(caller_of(request).tenant, str(parse_ref(text)))
    named = await ask(request, f"{noun}_named", name=text.lower())
    if not named:
        raise _unknown(noun, text)
    if len(named) > 1:
        candidates = [row["entity_ref"] for row in named]
        raise Problem(409, "Ambiguous name", f"several {noun}s have that name; use a reference", candidates=candidates)
    found: str = named[0]["id"]
    return found


def _unknown(noun: Noun, text: str) -> Problem:
    return Problem(404, "Not found", f"there is no {noun} {text}")
