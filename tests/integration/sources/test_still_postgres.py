"""A Postgres that keeps still, its connection open at this end alone, or that became a standby."""

import asyncio
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from sources.runner import Runner
from tests.integration.sources.scripted import Scripted, many
from tests.patience import granted


class _Wire:
    """Passes bytes to a server until it is cut: then nothing comes back, and nobody is let in any more."""

    def __init__(self, dsn):
        self._dsn = conninfo_to_dict(dsn)
        self._whole = asyncio.Event()
        self._whole.set()
        self._tasks = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return self, make_conninfo(**{**self._dsn, "host": "127.0.0.1", "port": port})

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self):
        self._whole.clear()
        self._server.close()

    async def _serve(self, reader, writer):
        host, port = self._dsn["host"], self._dsn["port"]
        if host.startswith("/"):
            there = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            there = await asyncio.open_connection(host, int(port))
        self._tasks += [asyncio.create_task(self._pass(*each)) for each in ((reader, there[1]), (there[0], writer))]

    async def _pass(self, reader, writer):
        try:
            while piece := await reader.read(65_536):
                await self._whole.wait()
                writer.write(piece)
                await writer.drain()
        finally:
            writer.close()


def test_a_look_at_a_database_that_keeps_still_comes_to_an_end(stage):
    async def working(place):
        async with _Wire(stage.dsn) as (wire, dsn), AsyncConnectionPool(dsn, min_size=1, open=False, timeout=5) as pool:
            runner = Runner(stage.connector(Scripted(many(1))), replace(place, pool=pool, answer_seconds=0.2))
            await runner.begin()
            wire.cut()
            async with asyncio.timeout(30):
                with pytest.raises(TimeoutError):
                    await runner.look(asyncio.Event())
            return True

    assert stage.run(working)


def test_a_run_waits_until_the_database_is_no_standby(stage):
    standby = f"ALTER DATABASE {conninfo_to_dict(stage.dsn)['dbname']} SET default_transaction_read_only"

    async def working(place):
        await place.pool.wait()
        with psycopg.connect(stage.dsn, autocommit=True) as admin:
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(f"{standby} = off")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Runner(stage.connector(Scripted(many(1))), place).run(stop))
            deadline = granted() + 30
            while [run["outcome"] for run in stage.runs] != ["complete"]:
                assert granted() < deadline
                await asyncio.sleep(0.05)
            stop.set()

    stage.rows(f"{standby} = on")
    stage.run(working)
    assert [run["outcome"] for run in stage.runs] == ["complete"]
