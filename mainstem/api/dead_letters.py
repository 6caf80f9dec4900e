"""`/v1/teams/{id}/dead-letters`: what a team's connector said, or was said of its entities, and could not be used."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mainstem.api import question_bodies, teams
from mainstem.api.access import caller_of
from mainstem.api.database import ask, one
from mainstem.api.description import answers, problems
from mainstem.api.fields import narrowed
from mainstem.api.parameters import Cursor, Fields, Limit, cursor_of, key_of
from mainstem.api.problems import Problem
from mainstem.api.references import is_name
from mainstem.api.routing import Admitting
from mainstem.api.shapes import moment
from mainstem.dead_letters.belonging import Belonging, belonging, own_connector
from mainstem.dead_letters.letters import DeadLetter, LetterId
from mainstem.dead_letters.window import Letters, Window, behind
from schemas.errors import ConfigError, UnavailableError

router = APIRouter(prefix="/v1/teams", tags=["teams"], route_class=Admitting)

LOOKED_AT: Final = 2_000
"""Dead letters of one page at most, whosever they are."""
AT_ONCE: Final = 2

Found = tuple[DeadLetter, Belonging]


@router.get(
    "/{id:ref}/dead-letters",
    responses=answers(200, question_bodies.DeadLetterList, "Dead letters.") | problems(404, 409, 429),
)
async def list_dead_letters(
    request: Request,
    id: str,  # noqa: A002 - as the path calls it
    limit: Limit = 50,
    cursor: Cursor = None,
    fields: Fields = None,
) -> Response:
    """Return the dead letters of the connector that has the team's name, and of the entities that the team owns, about
    which nobody decided; never what is in them. A page may end, with a `next_cursor`, before it is full, even empty.
    """
    if is_name(request, "dead-letters"):
        return await teams.get_team(request, f"{id}/dead-letters", fields)
    team = await one(request, "team", id)
    place, found = _place(cursor), list[Found]()
    async with _window(request, place) as window:
        for _ in range(LOOKED_AT // window.size):
            letters, place = await asyncio.to_thread(window.batch)
            found += await _of_team(request, team, letters)
            if window.is_over or len(found) > limit:
                break
    next_cursor = None if window.is_over else cursor_of(str(place))
    if len(found) > limit:
        next_cursor = cursor_of(str(behind(found[limit - 1][0])))
    items = [narrowed(_shape(*each), fields) for each in found[:limit]]
    return JSONResponse({"items": items, "next_cursor": next_cursor})


@asynccontextmanager
async def _window(request: Request, place: LetterId) -> AsyncIterator[Window]:
    letters: Letters | None = request.app.state.settings.dead_letters
    room: asyncio.Semaphore = request.app.state.dead_letters
    if letters is None:
        raise Problem(503, "Service unavailable", "this API knows of no Kafka; set kafka.bootstrap_servers")
    if room.locked():
        raise Problem(429, "Too many requests", "as many look at dead letters as may; try again")
    async with room:
        window = Window(letters, place)
        try:
            await asyncio.to_thread(window.open)
            yield window
        except UnavailableError as error:
            raise Problem(503, "Service unavailable", f"{error}; try again") from None
        finally:
            await asyncio.to_thread(window.close)


async def _of_team(request: Request, team: dict[str, Any], letters: Sequence[DeadLetter]) -> list[Found]:
    settings, tenant = request.app.state.settings, caller_of(request).tenant
    told = [(each, belonging(each, settings.dead_letters.topics, settings.policy, tenant)) for each in letters]
    visible = [(letter, found) for letter, found in told if found is not None]
    refs = sorted({found.entity_ref for _, found in visible if found.entity_ref})
    rows = await ask(request, "owned_by", refs=refs, team=team["entity_ref"], id=team["id"]) if refs else []
    owned, own = {row["entity_ref"] for row in rows}, own_connector(team["entity_ref"])
    return [
        (letter, found)
        for letter, found in visible
        if found.entity_ref in owned or (found.connector is not None and found.connector == own)
    ]


def _place(cursor: str | None) -> LetterId:
    key = key_of(cursor)
    try:
        return LetterId(0, 0) if key is None else LetterId.parse(key)
    except ConfigError:
        raise Problem(400, "Bad request", "cursor is none that a list gave") from None


def _shape(letter: DeadLetter, found: Belonging) -> dict[str, Any]:
    aside = letter.aside
    assert aside is not None
    return {
        "id": str(letter.id),
        "set_aside_at": moment(letter.at),
        "connector": found.connector,
        "entity_ref": found.entity_ref,
        "stage": aside.stage,
        "error": aside.error,
        "reason": aside.reason,
        "attempts": aside.attempts,
        "origin": {"topic": aside.topic, "partition": aside.partition, "offset": aside.offset},
    }
