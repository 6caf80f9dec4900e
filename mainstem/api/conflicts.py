"""`/v1/conflicts`: the fields on which connectors disagree."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mainstem.api import question_bodies
from mainstem.api.database import ask
from mainstem.api.description import answers
from mainstem.api.fields import narrowed
from mainstem.api.filters import Filtered
from mainstem.api.outages import present_policy
from mainstem.api.parameters import cursor_of, key_of
from mainstem.api.rendering import JsonAnswer
from mainstem.api.routing import Admitting
from mainstem.held import record_of
from streams.disagreement import disagreements
from streams.policy import Policy

router = APIRouter(prefix="/v1", tags=["questions"], route_class=Admitting)

LOOKED_AT: Final = 1_000
"""Entities of one page at most: where connectors agree on nearly everything, a page ends before it is full."""
_TOGETHER: Final = 100
"""Entities whose records are read in one go."""

Row = dict[str, Any]


@router.get("/conflicts", responses=answers(200, question_bodies.ConflictList, "Conflicts, by reference and field."))
async def list_conflicts(request: Request, query: Filtered) -> Response:
    """Return the fields of which live records say different things and one alone can count, with what each says. Lists
    to which every connector adds are none. A page may end, with a `next_cursor`, before it is full, even empty.
    """
    filters, limit = await query.parameters(request), query.limit
    ref, _, pointer = (key_of(query.cursor) or "").partition(" ")
    rows = await ask(request, "looked_at", **filters, **{"from": ref}, limit=LOOKED_AT + 1)
    found: list[Row] = []
    policy = await present_policy(request)
    for page in _pages(rows[:LOOKED_AT]):
        found += [each for each in await _conflicts(request, page, policy) if _key(each) > (ref, pointer)]
        if len(found) > limit:
            break
    next_cursor = None
    if len(found) > limit:
        next_cursor = cursor_of(" ".join(_key(found[limit - 1])))
    elif len(rows) > LOOKED_AT:
        next_cursor = cursor_of(rows[LOOKED_AT]["entity_ref"])
    return JsonAnswer({"items": [narrowed(each, query.fields) for each in found[:limit]], "next_cursor": next_cursor})


def _pages(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    contested = [row for row in rows if row["voices"] > 1]
    return (contested[first : first + _TOGETHER] for first in range(0, len(contested), _TOGETHER))


async def _conflicts(request: Request, page: Sequence[Row], policy: Policy) -> list[Row]:
    records = await ask(request, "records_of_several", refs=[row["entity_ref"] for row in page])
    won = {row["entity_ref"]: row["provenance"] for row in page}
    # Not in the loop: a hundred entities take tens of milliseconds.
    return await asyncio.to_thread(lambda: list(_compared(records, won, policy, time.time() * 1000)))


def _compared(records: Sequence[Row], won: Row, policy: Policy, now: float) -> Iterator[Row]:
    for ref, rows in groupby(records, key=itemgetter("entity_ref")):
        for at, values in disagreements(map(record_of, rows), policy, now=now):
            winners = won[ref].get(at, [])
            named = [winners] if isinstance(winners, str) else winners
            yield {"entity_ref": ref, "pointer": at, "values": values, "winners": named}


def _key(conflict: Row) -> tuple[str, str]:
    return conflict["entity_ref"], conflict["pointer"]
