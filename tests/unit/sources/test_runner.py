"""Runs and rests, and what a source may raise."""

import asyncio

from prometheus_client import CollectorRegistry

from schemas.metrics import ConnectorMetrics
from schemas.topics import Topics
from sources.base import Page, Source, SourceSettings
from sources.runner import Connector, Runner


class Unlucky(Source):
    """A source whose system raises what no error of ours is, in its only run."""

    stop = asyncio.Event()

    async def pages(self, cursor):
        self.stop.set()
        raise KeyError("a library's own")
        yield cursor


class Slow(Source):
    """A source whose second page does not come before it is asked to stop."""

    stop = asyncio.Event()

    async def pages(self, cursor):
        del cursor
        yield Page(items=())
        await self.stop.wait()


async def _waited_of_a_slow_source():
    runner = _runner("slow", Slow)
    before = runner.waited
    running = asyncio.create_task(runner.run(Slow.stop))
    await asyncio.sleep(0.05)
    meanwhile = runner.waited
    Slow.stop.set()
    await running
    return before, meanwhile, runner.waited


def test_a_run_that_waits_for_a_page_says_for_how_long():
    before, meanwhile, after = asyncio.run(_waited_of_a_slow_source())
    assert (before, meanwhile > 0, after) == (0, True, 0)


def _runner(name, source):
    connector = Connector(id=name, source=source(SourceSettings(connector=name)))
    settings = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}
    return Runner(connector, settings, Topics(), ConnectorMetrics(CollectorRegistry()))


def test_a_source_that_raises_what_it_likes_fails_its_run_and_nothing_else():
    runner = _runner("unlucky", Unlucky)
    asyncio.run(runner.run(Unlucky.stop))
    assert (runner.is_failing, runner.completed_runs) == (True, 0)
