"""The one way to ask the database on behalf of somebody: as a role that sees the rows of their tenant alone.

The connections of a pool that is given here are in autocommit: psycopg, left to begin and end transactions by itself,
waits for an answer to each step.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

# For the transaction alone: the next user of the connection begins with nothing.
_ENTER: Final = "SELECT set_config('role', 'mainstem_app', true), set_config('mainstem.tenant', %s, true)"
_ENTER_PLANNED: Final = f"{_ENTER}, set_config('plan_cache_mode', 'force_generic_plan', true)"


@asynccontextmanager
async def inside(
    pool: AsyncConnectionPool, tenant: str, *, seconds: float | None = None
) -> AsyncIterator[AsyncConnection]:
    """Yield a connection in a transaction that sees *tenant* alone; it is committed at the end.

    *seconds*: how long to wait for a connection, unless as the pool says.
    """
    async with pool.connection(timeout=seconds) as connection:
        async with _at_once(connection):
            await connection.execute("BEGIN")
            await connection.execute(_ENTER, (tenant,))
        yield connection


@asynccontextmanager
async def snapshot(pool: AsyncConnectionPool, tenant: str) -> AsyncIterator[AsyncConnection]:
    """Yield a connection to read from, in a transaction that sees *tenant* alone, as it is when it is first asked. What
    is asked is sent when an answer is fetched, all at once; the connection is closed when that fails.
    """
    async with pool.connection() as connection, _at_once(connection):
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        await connection.execute(_ENTER_PLANNED, (tenant,))
        yield connection
        await connection.execute("COMMIT")


async def rows(
    pool: AsyncConnectionPool,
    tenant: str,
    statement: LiteralString,
    parameters: Mapping[str, Any],
    *,
    prepare: bool | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of one *statement* inside *tenant*, in one round trip.

    *prepare*: False plans it each time for what is asked, None as psycopg and Postgres choose.
    """
    # Not `pool.connection()`: there is nothing to commit, for the sync ends the transaction.
    connection = await pool.getconn()
    try:
        cursor = connection.cursor(row_factory=dict_row)
        # What is sent with one sync is one transaction: `_ENTER` holds for the statement, and no longer.
        async with _at_once(connection):
            await connection.execute(_ENTER, (tenant,))
            await cursor.execute(statement, parameters, prepare=prepare)
        return await cursor.fetchall()
    finally:
        await pool.putconn(connection)


@asynccontextmanager
async def _at_once(connection: AsyncConnection) -> AsyncIterator[None]:
    """Send what is asked within by one sync. A connection on which that fails is closed, and the pool opens another:
    psycopg takes for prepared whatever it sent to be prepared, and would ask for what is not there for ever.
    """
    try:
        async with connection.pipeline():
            yield
    except BaseException:
        await connection.close()
        raise
