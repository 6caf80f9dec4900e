"""What is fetched is taken once and in order, whatever Faust drops, leaves or seeks meanwhile.

The engine is the real one; in place of Kafka's client lies a log in memory, with offsets that are read and sought.
"""

import asyncio
import random
from collections import deque

import pytest
from aiokafka.structs import ConsumerRecord
from faust.types.tuples import TP
from prometheus_client import CollectorRegistry

from schemas.codec import encode_records
from schemas.metrics import ProcessorMetrics
from schemas.records import Records
from schemas.topics import Topics
from streams.policy import Policy
from streams.transport import Position
from streams.worker import Worker, WorkerSettings

TOPICS = Topics(partitions=2)
CHANGES = [TP(TOPICS.changes(name), partition) for name in ("git", "cmdb") for partition in (0, 1)]
CHANGELOGS = [TP(TOPICS.changelog, partition) for partition in (0, 1)]
LENGTH = 60
FETCH = 7
SEEDS = range(30)


class Log:
    """The seam to aiokafka's client: of each partition the records, and where fetching goes on."""

    def __init__(self, records):
        self.records = records
        self.next = dict.fromkeys(records, 0)

    async def getmany(self, active, _timeout):
        await asyncio.sleep(0)
        found = {}
        for tp in active:
            batch = self.records[tp][self.next[tp] : self.next[tp] + FETCH]
            if batch:
                found[tp] = batch
                self.next[tp] += len(batch)
        return found

    async def seek_wait(self, partitions):
        await asyncio.sleep(0)
        self.next.update(partitions)

    def assignment(self):
        return set(self.records)

    def highwater(self, tp):
        return len(self.records[tp])


class Reader:
    """Faust around the consumer: it takes runs from a queue, and now and then does what Faust does to them."""

    def __init__(self, consumer, engine, seed):
        self.consumer, self.engine = consumer, engine
        self.rng = random.Random(seed)
        self.queue = deque()
        self.taken = {tp: [] for tp in CHANGES}
        self.recovered = dict.fromkeys(CHANGELOGS, 0)
        self.is_disturbed = True

    async def fetch(self):
        async for tp, message in self.consumer.getmany(0.1):
            if tp in self.taken:
                self.queue.append(message.value)
            else:
                self.recovered[tp] = message.offset + 1
            if self.is_disturbed and await self._leaves():
                # As at a rebalance: recovery goes on where Faust believes to be.
                await self.consumer.seek_wait(dict(self.recovered))
                return

    async def take(self):
        while self.queue:
            run = self.queue.popleft()
            if self.is_disturbed and self.rng.random() < 0.1:
                continue  # dropped unseen, as at a rebalance
            if self.consumer.take(run):
                self.taken[run.tp] += [record.offset for record in run.records]
            if self.rng.random() < 0.5:
                await self.consumer.fill_holes()
        await self.consumer.fill_holes()

    async def _leaves(self):
        """Do what may come between two runs; return whether the fetch is left in the middle."""
        match self.rng.randrange(8):
            case 0:
                return True
            case 1:
                self.consumer.stop_flow()
            case 2:
                self.engine.consumer_generation_id += 1
            case 3:
                await self.consumer.seek_again(self.rng.choice(CHANGES))
            case 4:
                await self.take()
        return False


def record(tp, offset, key, value):
    return ConsumerRecord(
        topic=tp.topic, partition=tp.partition, offset=offset, timestamp=0, timestamp_type=0, key=key, value=value,
        checksum=None, serialized_key_size=0, serialized_value_size=0, headers=(),
    )  # fmt: skip


async def read(data_dir, log, seed):
    """Read all of *log* through an engine that is disturbed for a while; return the reader and the engine."""
    settings = WorkerSettings(
        bootstrap_servers="nowhere:1", topics=TOPICS, sources=frozenset(tp.topic for tp in CHANGES), policy=Policy(),
        data_dir=data_dir,
    )  # fmt: skip
    engine = Worker(settings, metrics=ProcessorMetrics(CollectorRegistry())).engine
    consumer = engine.consumer
    consumer._thread.thread_loop.close()
    consumer._thread = log
    consumer._set_active_tps(set(log.records))
    consumer.positions.update({tp: Position(0, 0, 0, 0, 0) for tp in log.records if tp in CHANGES})
    reader = Reader(consumer, engine, seed)
    for step in range(160):
        reader.is_disturbed = step < 100
        consumer.resume_flow()
        await reader.fetch()
        if reader.rng.random() < 0.5 or not reader.is_disturbed:
            await reader.take()
        if step == 100:  # whoever is assigned a partition begins where it was left
            for tp in CHANGES:
                await consumer.seek_again(tp)
    return reader, engine


@pytest.mark.parametrize("seed", SEEDS)
def test_every_record_is_taken_once_and_in_order_whatever_is_dropped_left_or_sought(tmp_path, seed):
    log = Log({tp: [record(tp, offset, b"k", b"v") for offset in range(LENGTH)] for tp in CHANGES})
    reader, _ = asyncio.run(read(tmp_path, log, seed))
    assert reader.taken == {tp: list(range(LENGTH)) for tp in CHANGES}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_changelog_is_read_without_a_hole(tmp_path, seed):
    keys = [b"component:default/svc-%d" % number for number in range(LENGTH)]
    values = [encode_records(Records(version=number + 1)) for number in range(LENGTH)]
    records = list(enumerate(zip(keys, values, strict=True)))
    log = Log({tp: [record(tp, offset, *each) for offset, each in records] for tp in CHANGELOGS})
    _, engine = asyncio.run(read(tmp_path, log, seed))
    (table,) = engine.run_tables.values()
    lost = [(tp.partition, key) for tp in CHANGELOGS for key in keys if table._db(tp.partition).get(key) is None]
    assert lost == []
