"""Leases: who lost one is told, each time."""

import asyncio
from contextlib import suppress

import pytest
from psycopg.errors import UniqueViolation

from schemas.errors import LeaseLostError
from sources import leases


def test_a_loss_that_went_unnoticed_does_not_hide_the_next_one(stage):
    async def lose(place, name, *, is_deaf):
        lease = await leases.take(place.pool, name, holder="one", seconds=0.3)
        async with leases.kept(place.pool, lease):
            async with place.pool.connection() as connection:
                await connection.execute("UPDATE leases SET token = token + 1 WHERE name = %s", (name,))
            with suppress(asyncio.CancelledError if is_deaf else ()):
                await asyncio.sleep(30)

    async def working(place):
        await lose(place, "first", is_deaf=True)
        try:
            await lose(place, "second", is_deaf=False)
        except (LeaseLostError, asyncio.CancelledError) as error:
            return type(error)

    assert stage.run(working) is LeaseLostError


def test_a_renewal_that_is_not_committed_is_not_relied_on(stage):
    async def working(place):
        lease = await leases.take(place.pool, "third", holder="one", seconds=1.0)
        await asyncio.sleep(0.5)
        async with place.pool.connection() as connection:
            await lease.asked(connection)
            await connection.rollback()
        await asyncio.sleep(0.45)
        with pytest.raises(LeaseLostError):
            lease.check()
        return True

    assert stage.run(working)


def test_what_is_written_by_who_lost_its_lease_is_not_there(stage):
    async def working(place):
        lease = await leases.take(place.pool, "fourth", holder="one", seconds=30)
        async with place.pool.connection() as connection:
            await connection.execute("UPDATE leases SET token = token + 1 WHERE name = 'fourth'")
        with pytest.raises(LeaseLostError, match="another process"):
            async with place.pool.connection() as connection, lease.proven(connection):
                await connection.execute("INSERT INTO ingestion_state (connector) VALUES ('fourth')")
        with pytest.raises(LeaseLostError):
            lease.check()

    stage.run(working)
    assert stage.rows("SELECT FROM ingestion_state") == []


def test_what_fails_as_it_is_written_is_told_and_nothing_of_it_is_there(stage):
    async def working(place):
        lease = await leases.take(place.pool, "fifth", holder="one", seconds=30)
        twice = "INSERT INTO ingestion_state (connector) VALUES ('fifth'), ('fifth')"
        with pytest.raises(UniqueViolation):
            async with place.pool.connection() as connection, lease.proven(connection):
                await connection.execute(twice)
        lease.check()

    stage.run(working)
    assert stage.rows("SELECT FROM ingestion_state") == []
