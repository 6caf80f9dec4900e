"""Deletions that wait for a decision. Each function runs within the transaction of its connection."""

from pathlib import Path
from typing import Final

from psycopg.rows import scalar_row

from schemas.statements import statements
from sources.leases import Connection

HOLD_SECONDS: Final = 7 * 86_400
"""For how long a hold waits for a decision."""

_QUERIES: Final = statements(Path(__file__).with_name("holds.sql"))


async def make(connection: Connection, connector: str, run: int, entities: int) -> str:
    """Make a hold and return its id; one that was open before is replaced, and what it held is this one's."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(_QUERIES["replace"], {"connector": connector})
        replaced = await cursor.fetchone()
        new = {"connector": connector, "run": run, "entities": entities, "keep_seconds": HOLD_SECONDS}
        await cursor.execute(_QUERIES["make"], new)
        made = await cursor.fetchone()
        if replaced is not None:
            await cursor.execute(_QUERIES["move"], {"hold": made, "replaced": replaced})
    return str(made)


async def expire(connection: Connection, connector: str) -> None:
    """End holds that nobody decided in time, or of which every entity is back."""
    await connection.execute(_QUERIES["expire"], {"connector": connector})


async def finish(connection: Connection, hold: str) -> None:
    await connection.execute(_QUERIES["finish"], {"hold": hold})
