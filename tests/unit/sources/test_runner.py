"""Runs and rests, and what a source may raise."""

import asyncio

from prometheus_client import CollectorRegistry

from schemas.metrics import ConnectorMetrics
from schemas.topics import Topics
from sources.base import Source, SourceSettings
from sources.runner import Connector, Runner


class Unlucky(Source):
    """A source whose system raises what no error of ours is, in its only run."""

    stop = asyncio.Event()

    async def pages(self, cursor):
        self.stop.set()
        raise KeyError("a library's own")
        yield cursor


def test_a_source_that_raises_what_it_likes_fails_its_run_and_nothing_else():
    connector = Connector(id="unlucky", source=Unlucky(SourceSettings(connector="unlucky")))
    metrics = ConnectorMetrics(CollectorRegistry())
    runner = Runner(connector, {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}, Topics(), metrics)
    asyncio.run(runner.run(Unlucky.stop))
    assert (runner.is_failing, runner.completed_runs) == (True, 0)
