"""How much the catalogue holds, counted in the tables now and then: a count of a million rows is nobody's request."""

import asyncio
import time
from pathlib import Path
from typing import Final

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

from schemas.metrics import ApiMetrics
from schemas.statements import statements

log = structlog.get_logger(__name__)

REST_SECONDS: Final = 15.0
REST_SHARE: Final = 50
"""A count rests for at least so many times as long as it took."""

_QUERIES: Final = statements(Path(__file__).with_name("queries.sql"))


async def count_for_ever(pool: AsyncConnectionPool, metrics: ApiMetrics) -> None:
    """Keep the numbers of entities and records up to date. While Postgres is away they stay as they are."""
    while True:
        began = time.monotonic()
        try:
            await count(pool, metrics)
        except psycopg.Error as error:
            log.warning("api.catalogue_not_counted", reason=type(error).__name__)
        await asyncio.sleep(max(REST_SECONDS, REST_SHARE * (time.monotonic() - began)))


async def count(pool: AsyncConnectionPool, metrics: ApiMetrics) -> None:
    async with pool.connection() as connection:
        for query, gauge in (
            ("count_entities", metrics.entities),
            ("count_records", metrics.records),
            ("count_overrides", metrics.overrides),
        ):
            rows = await (await connection.execute(_QUERIES[query])).fetchall()
            gauge.clear()
            for label, number in rows:
                gauge.labels(label).set(number)
