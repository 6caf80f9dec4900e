"""What is committed, and when partitions are let go, with the real engine around a client that keeps no log at all."""

import asyncio

from faust.types.tuples import TP
from prometheus_client import CollectorRegistry

from schemas.metrics import ProcessorMetrics
from schemas.topics import Topics
from streams.flights import Flight
from streams.policy import Policy
from streams.transport import Position, Run
from streams.worker import Worker, WorkerSettings
from tests.integration.test_fetching import record

TOPICS = Topics(partitions=1)
CHANGES = TP(TOPICS.changes("git"), 0)


class Client:
    """The seam to aiokafka's client: what it is told to commit."""

    def __init__(self):
        self.committed = {}

    async def commit(self, offsets):
        self.committed.update(offsets)
        return True

    def assignment(self):
        return {CHANGES}


def engine_of(data_dir, client):
    settings = WorkerSettings(
        bootstrap_servers="nowhere:1", topics=TOPICS, sources=frozenset({CHANGES.topic}), policy=Policy(),
        data_dir=data_dir,
    )  # fmt: skip
    engine = Worker(settings, metrics=ProcessorMetrics(CollectorRegistry())).engine
    engine.consumer._thread.thread_loop.close()
    engine.consumer._thread = client
    engine.consumer.positions[CHANGES] = Position(0, 0, 0, 0, 0)
    return engine


async def taken(engine):
    """Take a run of three records, and have it fly."""
    run = Run(CHANGES, 0, [record(CHANGES, offset, b"k", b"v") for offset in range(3)])
    assert engine.consumer.take(run)
    flight = Flight([run])
    return flight, engine._flying(flight)


def test_what_was_taken_is_committed_once_it_is_answered_and_not_before(tmp_path):
    async def commit():
        client = Client()
        engine = engine_of(tmp_path, client)
        flight, _ = await taken(engine)
        await engine.consumer.commit()
        before = dict(client.committed)
        (run,) = flight.runs
        run.position.done = run.ends
        await engine.consumer.commit()
        return before, client.committed

    assert asyncio.run(commit()) == ({CHANGES: 0}, {CHANGES: 3})


def test_partitions_are_let_go_once_no_run_is_in_flight_and_with_all_that_was_done_committed(tmp_path):
    async def revoke():
        client = Client()
        engine = engine_of(tmp_path, client)
        flight, flying = await taken(engine)
        await engine._room.acquire()
        with flying:
            revoking = asyncio.ensure_future(engine._on_partitions_revoked({CHANGES}))
            await asyncio.wait([revoking], timeout=0.2)
            was_let_go = revoking.done()
            (run,) = flight.runs
            run.position.done = run.ends
            engine._end(flight)
        await revoking
        return was_let_go, client.committed

    assert asyncio.run(revoke()) == (False, {CHANGES: 3})
