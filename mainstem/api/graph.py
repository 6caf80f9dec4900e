"""What depends on what, step by step: each service is followed once, so cycles end by themselves."""

from typing import Any, Final, Literal

import orjson
from fastapi import Request

from mainstem.api.database import ask, id_of, unknown

Direction = Literal["upstream", "downstream"]

MAX_EDGES: Final = 20_000
"""Of one answer, shared by its ways; it says that it is truncated when there are more, and the nearest are in it."""


async def graph(request: Request, text: str, ways: tuple[Direction, ...], depth: int) -> dict[str, Any]:
    """Return what is reached in at most *depth* steps, each way by itself, from the service that *text* names. Nodes
    and edges are as the database writes them: an answer holds thousands.

    Raises what :func:`mainstem.api.database.one` raises.
    """
    root = await id_of(request, "service", text)
    (found,) = await ask(request, "graph", id=root, ways=list(ways), depth=depth, most=MAX_EDGES)
    if found["root"] is None:
        raise unknown("service", text)
    return {
        "root": found["root"],
        "nodes": orjson.Fragment(found["nodes"]),
        "edges": orjson.Fragment(found["edges"]),
        "truncated": found["truncated"],
    }


def name_of(ref: str) -> str:
    """Return the name in a reference, or the words that are none."""
    return ref.rpartition("/")[2] if ":" in ref else ref
