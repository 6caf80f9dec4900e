"""The same merge on three engines, each in a process of its own.

usage: python -m tests.benchmarks.engines {mainstem|worker|confluent|stock} BOOTSTRAP PREFIX COUNT DATA_DIR SKIP

Prints a JSON object once COUNT records are done: records per second of wall and CPU time from the first answered run
after SKIP on, the resident memory at each quarter, and how the recovery before it went. `worker` is mainstem as one of
a group: it prints how much it has done, for ever.
"""

import asyncio
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import faust
import rocksdict
from confluent_kafka import Consumer, Producer, TopicPartition
from faust.types.tuples import TP
from prometheus_client.registry import CollectorRegistry

from mainstem import log
from schemas.metrics import ProcessorMetrics
from schemas.records import NEVER
from schemas.topics import Topics
from streams.partition import PartitionState
from streams.processor import Processor
from streams.table import StateWrite, Stored
from streams.transport import Output, Run
from streams.worker import Worker, WorkerSettings
from tests.benchmarks.load import CONNECTORS, PARTITIONS, POLICY

IN_FLIGHT = 8
STOCK_TABLE = "records"


class Arrived(NamedTuple):
    """What the processor asks of a record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[Any, ...]


def end(figures: dict[str, Any]) -> NoReturn:
    print(json.dumps(figures), flush=True)
    os._exit(0)


def resident_mb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024


def block_cache_mb(worker: Worker) -> float:
    """Return how much of the process's memory are blocks that RocksDB keeps, in all of its partitions."""
    stores = worker.engine._table.data._dbs.values()
    return sum(store.property_int_value("rocksdb.block-cache-usage") or 0 for store in stores) / 1024**2


class Meter:
    """Measures from the first records on: starting up and joining the group is nobody's merge."""

    def __init__(self, total: int, skip: int = 0) -> None:
        self._total = total
        self._skip = skip
        self._begun: tuple[int, float, float] | None = None
        self._resident: list[int] = []

    def at(self, done: int, more: Callable[[], dict[str, Any]] | None = None) -> None:
        """Look at how much is *done*; once it is all, print the figures, with *more* of them, and end the process."""
        if not self._total:
            return
        if self._begun is None and done > self._skip:
            self._begun = (done, time.perf_counter(), time.process_time())
        if done * 4 // self._total > len(self._resident):
            self._resident.append(resident_mb())
        if done >= self._total:
            before, wall, cpu = self._begun
            count = done - before
            figures = {
                "wall": count / (time.perf_counter() - wall),
                "cpu": count / (time.process_time() - cpu),
                "resident": self._resident,
            }
            end({**figures, **(more() if more else {})})


class Recovery:
    """Watches a store that is filled from its changelog: how many records a second, from the first one seen on."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self.figures: dict[str, float] = {}

    def look(self, recovered: int, *, is_over: bool) -> None:
        now = time.perf_counter()
        if self._first is None and recovered:
            self._first = (now, recovered)
        if self._first and is_over and not self.figures:
            begun, before = self._first
            rate = (recovered - before) / (now - begun)
            self.figures = {"recovered": recovered, "rate": rate, "recovery_resident": resident_mb()}


def mainstem(bootstrap: str, topics: Topics, count: int, data_dir: Path, skip: int) -> None:
    async def main() -> None:
        metrics = ProcessorMetrics(CollectorRegistry())
        worker, meter, recovery = _worker(bootstrap, topics, data_dir, metrics), Meter(count, skip), Recovery()
        running = asyncio.ensure_future(worker.run(asyncio.Event()))
        while not running.done():
            await asyncio.sleep(0.02)
            recovery.look(int(metrics.recovered._value.get()), is_over=worker.engine.lag is not None)
            meter.at(worker.engine.done, lambda: {**recovery.figures, "block_cache": block_cache_mb(worker)})
            if not count and recovery.figures:
                end({**recovery.figures, "block_cache": block_cache_mb(worker)})
        await running

    asyncio.run(main())


def worker(bootstrap: str, topics: Topics, _count: int, data_dir: Path, _skip: int) -> None:
    async def main() -> None:
        one = _worker(bootstrap, topics, data_dir, ProcessorMetrics(CollectorRegistry()))
        running = asyncio.ensure_future(one.run(asyncio.Event()))
        while not running.done():
            await asyncio.sleep(0.05)
            print(json.dumps({"at": time.monotonic(), "done": one.engine.done}), flush=True)
        await running

    asyncio.run(main())


def _worker(bootstrap: str, topics: Topics, data_dir: Path, metrics: ProcessorMetrics) -> Worker:
    settings = WorkerSettings(
        bootstrap_servers=bootstrap,
        topics=topics,
        sources=frozenset(map(topics.changes, CONNECTORS)),
        policy=POLICY,
        data_dir=data_dir,
    )
    return Worker(settings, metrics=metrics)


def stock(bootstrap: str, topics: Topics, count: int, data_dir: Path, skip: int) -> None:
    """Faust as shipped: one event at a time, `await topic.send`, a table in RocksDB."""
    app = faust.App(
        f"{topics.prefix}-stock", broker=f"kafka://{bootstrap}", store="rocksdb://", datadir=str(data_dir),
        topic_allow_declare=False, topic_disable_leader=True, web_enabled=False, table_standby_replicas=0,
        topic_partitions=PARTITIONS, value_serializer="raw", key_serializer="raw", stream_wait_empty=False,
        producer_linger=0.02,
    )  # fmt: skip
    source = app.topic(*map(topics.changes, CONNECTORS), key_type=bytes, value_type=bytes)
    entities = app.topic(topics.entities, key_type=bytes, value_type=bytes)
    table = app.Table(STOCK_TABLE, key_type=bytes, value_type=bytes, partitions=PARTITIONS)
    processor, meter = Processor(topics, POLICY, ProcessorMetrics(CollectorRegistry())), Meter(count, skip)

    class View:
        """Faust's table knows the partition by the event. It has no deadlines."""

        def stored(self, _partition: int, keys: Sequence[bytes]) -> list[Stored | None]:
            found = map(table.get, keys)
            return [None if value is None else Stored(value, NEVER) for value in found]

    states = {partition: PartitionState(View(), partition, 1 << 40) for partition in range(PARTITIONS)}

    @app.agent(source)
    async def merge(stream):
        done = 0
        async for event in stream.events():
            message = event.message
            arrived = Arrived(
                message.topic,
                message.partition,
                message.offset,
                int(message.timestamp * 1000),
                event.key,
                event.value,
                (),
            )
            run = Run(message.tp, message.offset, [arrived])
            written = processor.run([run], states[message.partition], time.time_ns() // 1_000_000)
            for outputs in written.outputs.values():
                for output in outputs:
                    await entities.send(key=output.key, value=output.value)
            for write in written.state:
                table[write.key] = write.value
            done += 1
            meter.at(done)

    async def main() -> None:
        starting = asyncio.ensure_future(app.start())
        recovery, whole = Recovery(), 0
        while not count:
            await asyncio.sleep(0.02)
            left = app.tables.recovery.active_remaining_total()
            whole = max(whole, left)
            recovery.look(whole - left, is_over=bool(whole) and not left)
            if recovery.figures:
                end(recovery.figures)
        await starting
        await app.wait_until_stopped()

    asyncio.run(main())


@dataclass(eq=False)
class Flight:
    """A run on its way: first its outputs are answered, then its state, then it is stored and committed."""

    partition: int
    ends: TopicPartition
    count: int
    state: list[StateWrite]
    waiting: int = 0
    stage: int = 0


@dataclass
class Store:
    """RocksDB per partition, and what is not answered yet."""

    directory: Path
    unanswered: dict[bytes, tuple[Flight, bytes | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)  # noqa: FBT003 - RocksDB's own way
        self.partitions = [rocksdict.Rdict(str(self.directory / str(at)), options) for at in range(PARTITIONS)]

    def stored(self, partition: int, keys: Sequence[bytes]) -> list[Stored | None]:
        held = [self.unanswered.get(key) for key in keys]
        local = iter(self.partitions[partition].get([key for key, at in zip(keys, held, strict=True) if at is None]))
        found = [next(local) if at is None else at[1] for at in held]
        return [None if value is None else Stored(value, NEVER) for value in found]

    def settle(self, flight: Flight) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for write in flight.state:
            batch.put(write.key, write.value)
            if self.unanswered.get(write.key, (None,))[0] is flight:
                del self.unanswered[write.key]
        self.partitions[flight.partition].write(batch)


class Loop:
    """The ceiling: librdkafka's threads around the same processor, runs pipelined; no rebalance is survived."""

    def __init__(self, bootstrap: str, topics: Topics, count: int, data_dir: Path, skip: int) -> None:
        shared = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._consumer = Consumer({**shared, "group.id": f"{topics.prefix}-loop", "auto.offset.reset": "earliest",
                                   "enable.auto.commit": False, "fetch.wait.max.ms": 50})  # fmt: skip
        self._producer = Producer({**shared, "linger.ms": 1, "batch.size": 262_144, "acks": "all",
                                   "enable.idempotence": True, "queue.buffering.max.messages": 1_000_000})  # fmt: skip
        self._topics = topics
        self._meter = Meter(count, skip)
        data_dir.mkdir(parents=True)
        self._store = Store(data_dir)
        self._processor = Processor(topics, POLICY, ProcessorMetrics(CollectorRegistry()))
        self._states = [PartitionState(self._store, partition, 1 << 40) for partition in range(PARTITIONS)]
        self._flights: deque[Flight] = deque()
        self._done = 0

    def run(self) -> None:
        self._consumer.subscribe(list(map(self._topics.changes, CONNECTORS)))
        while True:
            runs: dict[TP, list[Arrived]] = {}
            for message in self._consumer.consume(1000, 0.05):
                at = TP(message.topic(), message.partition())
                runs.setdefault(at, []).append(
                    Arrived(*at, message.offset(), message.timestamp()[1], message.key(), message.value(), ())
                )
            for at, records in runs.items():
                self._merge(at, records)
                while len(self._flights) >= IN_FLIGHT:
                    self._advance(0.005)
            self._advance(0)

    def _merge(self, at: TP, records: list[Arrived]) -> None:
        run = Run(at, records[0].offset, records)
        written = self._processor.run([run], self._states[at.partition], time.time_ns() // 1_000_000)
        ends = TopicPartition(*at, records[-1].offset + 1)
        flight = Flight(at.partition, ends, len(records), written.state)
        for (topic, partition), outputs in written.outputs.items():
            for output in outputs:
                self._send(flight, topic, partition, output)
        self._store.unanswered.update({write.key: (flight, write.value) for write in written.state})
        self._flights.append(flight)

    def _send(self, flight: Flight, topic: str, partition: int, output: Output) -> None:
        def answered(error: Any, _message: Any) -> None:
            assert error is None, error
            flight.waiting -= 1

        flight.waiting += 1
        self._producer.produce(topic, output.value, output.key, partition, on_delivery=answered)

    def _advance(self, seconds: float) -> None:
        self._producer.poll(seconds)
        for flight in self._flights:
            if flight.stage == 0 and not flight.waiting:
                flight.stage = 1
                for write in flight.state:
                    self._send(flight, self._topics.changelog, flight.partition, Output(write.key, write.value))
        while self._flights and self._flights[0].stage and not self._flights[0].waiting:
            flight = self._flights.popleft()
            self._store.settle(flight)
            self._consumer.commit(offsets=[flight.ends], asynchronous=True)
            self._done += flight.count
            self._meter.at(self._done)


def main() -> None:
    engine, bootstrap, prefix, count, data_dir, skip = sys.argv[1:]
    log.configure(json=True, level=40)
    topics = Topics(prefix=prefix, partitions=PARTITIONS, replication_factor=1)
    arguments = (bootstrap, topics, int(count), Path(data_dir) / engine, int(skip))
    if engine == "confluent":
        Loop(*arguments).run()
    else:
        {"mainstem": mainstem, "worker": worker, "stock": stock}[engine](*arguments)


if __name__ == "__main__":
    main()
