"""Deletes of all that a connector holds, whether it is still configured or not."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from psycopg.rows import dict_row

from schemas.errors import Retriable
from schemas.statements import statements
from sources import leases
from sources.leases import Lease, Pool
from sources.ledger import Gone
from sources.publisher import Publisher
from sources.sieve import deletion

BATCH: Final = 1_000
_QUERIES: Final = statements(Path(__file__).with_name("forgetting.sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding(Gone):
    """One entity that a connector holds, and what its deletion must outrank."""

    tenant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """*connector* of *tenant*, on the Kafka *cluster*; *by* is who forgets it.

    *runs_here*: false where others publish its changes, so that there is nothing to pause.
    """

    connector: str
    tenant: str
    cluster: str
    by: str
    runs_here: bool = True


async def holdings(pool: Pool, whose: Whose) -> list[Holding]:
    """Return all that the connector holds, in the order of the references.

    Of a connector whose changes others publish, what is still on its way is not among them.
    """
    async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_QUERIES["held"], _parameters(whose))
        return [Holding(**row) for row in await cursor.fetchall()]


async def forget(
    pool: Pool, publisher: Publisher, whose: Whose, *, told: Callable[[int], None] = lambda _: None
) -> int:
    """Publish deletes of all that the connector holds, and pause it where it runs: it would publish all anew.

    Return how many there were; *told* is called with how many are done. Raises Retriable while the connector runs.
    """
    lease = await leases.take(pool, f"connector:{whose.connector}", holder=whose.by)
    if lease is None:
        raise Retriable(
            f"connector {whose.connector} runs just now: pause it first (mainstem connectors pause {whose.connector})"
        )
    async with leases.kept(pool, lease):
        await _do(pool, lease, whose, "stop", "close_runs")
        found = await holdings(pool, whose)
        for start in range(0, len(found), BATCH):
            lease.check()
            now_ms = lease.now_ms()
            drafts = [deletion(each.tenant, each, now_ms) for each in found[start : start + BATCH]]
            await asyncio.to_thread(publisher.publish, drafts)
            told(min(start + BATCH, len(found)))
        await _do(pool, lease, whose, "forget_seen", "forget", "close_holds")
    return len(found)


async def _do(pool: Pool, lease: Lease, whose: Whose, *queries: str) -> None:
    async with pool.connection() as connection:
        await lease.renew(connection)
        for query in queries:
            await connection.execute(_QUERIES[query], _parameters(whose))


def _parameters(whose: Whose) -> dict[str, Any]:
    return asdict(whose)
