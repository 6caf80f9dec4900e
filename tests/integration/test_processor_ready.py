"""What a worker says of itself before, while and without working, and how it ends when a rebalance meets its stop."""

import asyncio
import contextlib
import gc
import json
import uuid
import warnings
from pathlib import Path

import pytest
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry

from mainstem.cluster import Cluster
from mainstem.roles.health import Progress
from schemas.metrics import ProcessorMetrics
from schemas.topics import Topics
from streams.policy import Policy
from streams.worker import Worker, WorkerSettings

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
PATIENCE = 180.0
CHANGE = {"entity": {"apiVersion": "v1", "kind": "Component", "metadata": {"name": "pay"}}}


@pytest.fixture(autouse=True)
def collected():
    """Faust leaves its connections to the collector: here, and not in a test that comes later."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def topics(kafka):
    found = Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=1, replication_factor=1)
    Cluster({"bootstrap.servers": kafka}).create(found.definitions(["git"]))
    return found


class Asked:
    """A worker with its readiness, in the test's own event loop."""

    def __init__(self, kafka: str, topics: Topics, data_dir: Path) -> None:
        settings = WorkerSettings(
            bootstrap_servers=kafka,
            topics=topics,
            sources=frozenset({topics.changes("git")}),
            policy=Policy(),
            data_dir=data_dir,
            session_timeout=6.0,
        )
        self.registry = CollectorRegistry()
        worker = Worker(settings, metrics=ProcessorMetrics(self.registry))
        self.engine = worker.engine
        self._run = worker.run
        self._progress = Progress(lambda: self.engine.lag, lambda: self.engine.done)

    @property
    def is_ready(self) -> bool:
        return self._progress.readiness().is_ready

    @contextlib.asynccontextmanager
    async def running(self):
        stop = asyncio.Event()
        task = asyncio.create_task(self._run(stop))
        try:
            yield self
        finally:
            stop.set()
            await task


async def until(holds):
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.1)


async def _two_workers_of_one_partition(kafka, topics, home):
    first, second = Asked(kafka, topics, home / "a"), Asked(kafka, topics, home / "b")
    assert not first.is_ready
    async with first.running():
        assert not first.is_ready
        await until(lambda: first.is_ready)
        async with second.running():
            await until(lambda: second.is_ready and first.is_ready)
            held = sorted(len(each.engine.consumer.positions) for each in (first, second))
            assert (held, first.engine.lag, second.engine.lag) == ([0, 1], 0, 0)


async def _rebalance_in_a_stop(kafka, topics, home):
    found = Asked(kafka, topics, home)
    async with found.running():
        await until(lambda: found.is_ready)
        # What Faust does when partitions are assigned while it stops.
        found.engine.consumer.close()
        client = found.engine.consumer._thread._consumer._client
        connections = list(client._conns.values())
    return [connection.connected() for connection in connections]


async def _rebalance_in_a_drain(kafka, topics, home):
    first = Asked(kafka, topics, home)
    async with first.running():
        await until(lambda: first.is_ready)
        engine = first.engine
        write = engine._write_reserved

        async def write_slowly(*given):
            await asyncio.sleep(0.5)
            return await write(*given)

        engine._write_reserved = write_slowly
        rebalance = engine._on_partitions_revoked(engine.consumer.assignment())
        ended = await asyncio.gather(rebalance, engine.drain(), return_exceptions=True)
    second = Asked(kafka, topics, home)
    async with second.running():
        await until(lambda: second.is_ready)
        doubts = [state.is_doubtful or state.is_being_rewritten for state in second.engine.owned.values()]
    return ended, doubts


async def _change_on_its_way(kafka, topics, home):
    found = Asked(kafka, topics, home)
    async with found.running():
        await until(lambda: found.is_ready)
        producer = Producer({"bootstrap.servers": kafka})
        producer.produce(topics.changes("git"), json.dumps(CHANGE), "component:default/pay")
        await asyncio.to_thread(producer.flush)
        await until(lambda: found.engine.done == 1 and found.engine.lag == 0)
        counted = found.registry.get_sample_value
        assert counted("mainstem_processor_delay_seconds_count") == 1
        assert 0 < counted("mainstem_processor_delay_seconds_sum") < PATIENCE


def test_a_worker_is_ready_once_it_works_and_one_without_a_partition_is_ready_too(kafka, topics, tmp_path):
    asyncio.run(_two_workers_of_one_partition(kafka, topics, tmp_path))


def test_the_age_of_a_change_is_known_when_it_is_merged(kafka, topics, tmp_path):
    asyncio.run(_change_on_its_way(kafka, topics, tmp_path))


def test_a_rebalance_during_a_stop_leaves_no_connection_behind(kafka, topics, tmp_path):
    open_after = asyncio.run(_rebalance_in_a_stop(kafka, topics, tmp_path))
    assert open_after
    assert not any(open_after)


def test_a_rebalance_during_a_drain_leaves_the_next_owner_nothing_to_doubt(kafka, topics, tmp_path):
    assert asyncio.run(_rebalance_in_a_drain(kafka, topics, tmp_path)) == ([None, None], [False])
