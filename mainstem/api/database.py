"""Asking the database for one request, and finding what a path names."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, Literal, LiteralString
from uuid import UUID

from fastapi import Request
from psycopg import AsyncConnection

from mainstem.access import tenants
from mainstem.api.access import caller_of
from mainstem.api.problems import Problem
from mainstem.api.references import parse_ref
from mainstem.held import HELD
from schemas.refs import NAME
from schemas.statements import statements
from sinks.postgres.model import entity_id

_WRITTEN: Final = HELD | {
    name: statement
    for file in ("services.sql", "questions.sql", "history.sql")
    for name, statement in statements(Path(__file__).with_name(file)).items()
}
# Of a list of one the planner believes that a plan for any list costs more, and it plans each request anew, which takes
# longer than the answer: `service` and `team` are for one.
QUERIES: Final = _WRITTEN | {
    noun: _WRITTEN[f"{noun}s"].replace("held.id = ANY (%(ids)s::uuid[])", "held.id = %(id)s::uuid")
    for noun in ("service", "team")
}

FEW: Final = 2_000
"""So many hits of a search are looked up; where there are more, a page is soon filled by trying one after the other."""

Noun = Literal["service", "team"]


async def ask(request: Request, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """Return the rows of a statement of QUERIES, in the tenant of *request*."""
    # What is asked with lists of any length is planned for the list that is there: a plan for all is one for short.
    is_search = parameters.get("q") or parameters.get("refs") is not None
    return await told(request, QUERIES[query], parameters, prepare=False if is_search else None)


async def told(
    request: Request,
    statement: LiteralString,
    parameters: Mapping[str, Any],
    *,
    prepare: bool | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of *statement*, whose parameter `tenant` is that of *request*."""
    tenant = caller_of(request).tenant
    given = {**parameters, "tenant": tenant}
    return await tenants.rows(request.app.state.pool, tenant, statement, given, prepare=prepare)


def asking(request: Request) -> AbstractAsyncContextManager[AsyncConnection]:
    """Return a connection, in a transaction that sees the tenant of *request* alone. Whoever answers a caller takes
    it from here, or asks by the functions above: `app.state.pool` sees every tenant.
    """
    return tenants.inside(request.app.state.pool, caller_of(request).tenant)


async def search(request: Request, texts: Sequence[str] | None) -> dict[str, Any]:
    """Return the parameters `refs` and `q` of a list that is narrowed to what has all the words of one of *texts*."""
    if not (asked := [each for each in texts or () if each]):
        return {"refs": None, "q": None}
    found = await ask(request, "search", q=asked, most=FEW)
    if any(row["refs"] is None for row in found):
        return {"refs": None, "q": " | ".join(f"({row['query']})" for row in found if row["query"])}
    return {"refs": sorted({ref for row in found for ref in row["refs"]}), "q": None}


async def one(request: Request, noun: Noun, text: str) -> dict[str, Any]:
    """Return the row that *text* names: an id, a reference, or a name that only one has.

    Raises Problem 400 for what is none of them, 404, and 409 for a name that several have.
    """
    rows = await ask(request, noun, id=await id_of(request, noun, text))
    if not rows:
        raise unknown(noun, text)
    return rows[0]


async def whole(request: Request, noun: Noun, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of all that is in *found*, in its order."""
    return await ask(request, f"{noun}s", ids=[each["id"] for each in found]) if found else []


async def id_of(request: Request, noun: Noun, text: str) -> str:
    """Return the id of what *text* names, which may not be there. Raises as :func:`one`."""
    try:
        return str(UUID(text))
    except ValueError:
        pass
    if not NAME.fullmatch(text):
        return entity_id(caller_of(request).tenant, str(parse_ref(text)))
    named = await ask(request, f"{noun}_named", name=text.lower())
    if not named:
        raise unknown(noun, text)
    if len(named) > 1:
        raise ambiguous(noun, [row["entity_ref"] for row in named])
    found: str = named[0]["id"]
    return found


def ambiguous(noun: Noun, candidates: list[str]) -> Problem:
    """Return what to raise for a name of several."""
    detail = f"several {noun}s have that name: ask by entityRef, which is one of the candidates, or by id"
    return Problem(409, "Ambiguous name", detail, candidates=candidates)


def unknown(noun: Noun, text: str) -> Problem:
    """Return what to raise for what is not there."""
    return Problem(404, "Not found", f"there is no {noun} {text}")
