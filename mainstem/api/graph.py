"""What depends on what, step by step: each service is followed once, so cycles end by themselves."""

from typing import Any, Final, Literal
from uuid import UUID

import orjson
from fastapi import Request
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow, dict_row

from mainstem.access import tenants
from mainstem.api.access import caller_of
from mainstem.api.database import QUERIES, id_of, unknown
from mainstem.api.ids import Ids, read_ids
from mainstem.api.walk import WAYS, Direction, Met, Walk

MAX_EDGES: Final = 20_000
"""Of one answer, shared by its ways; it says that it is truncated when there are more, and the nearest are in it."""


async def graph(request: Request, text: str, direction: Direction | Literal["both"], depth: int) -> dict[str, Any]:
    """Return what is reached in at most *depth* steps, each way by itself, from the service that *text* names. Nodes
    and edges are JSON already.

    Raises what :func:`mainstem.api.database.one` raises.
    """
    root = await id_of(request, "service", text)
    ways = WAYS if direction == "both" else (direction,)
    walk = Walk(UUID(root).bytes, ways, depth=depth, most=MAX_EDGES)
    tenant = caller_of(request).tenant
    async with tenants.snapshot(request.app.state.pool, tenant) as connection:
        named = await _asked(connection, "graph_root", tenant=tenant, id=root)
        while frontier := walk.frontier:
            keys = {way: Ids(frontier.get(way, ())) for way in WAYS}
            found = await _asked(connection, "graph_step", tenant=tenant, most=MAX_EDGES, **keys)
            walk.take([_met(row) for row in await found.fetchall()])
        ref = await named.fetchone()
    if ref is None:
        raise unknown("service", text)
    return {
        "root": ref["ref"],
        "nodes": orjson.Fragment(walk.nodes()),
        "edges": orjson.Fragment(walk.edges()),
        "truncated": walk.is_cut,
    }


def _met(row: DictRow) -> Met:
    lines = row["told"].split("\n")
    return Met(row["way"], read_ids(row["far"]), lines[::2], lines[1::2])


async def _asked(connection: AsyncConnection, query: str, **parameters: Any) -> AsyncCursor[DictRow]:
    cursor = connection.cursor(row_factory=dict_row, binary=True)
    return await cursor.execute(QUERIES[query], parameters, prepare=True)
