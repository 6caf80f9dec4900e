"""Random changes of five connectors through the real broker and worker: exactly the oracle's entities.

Run as a script (JSON as first argument), this file is that worker, on a clock that is a file. tests/properties does
the same in memory, many more times.
"""

import functools
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import hypothesis
import pytest
from confluent_kafka import Producer

from mainstem.cluster import Cluster
from schemas.codec import decode_entity, decode_records
from schemas.topics import RESERVED_PREFIX, Topics
from streams.worker import Worker
from tests.integration.kill import worker
from tests.integration.kill.kafka_io import partition_of, read_all, remaining
from tests.integration.kill.process import WorkerProcess
from tests.oracle import Connector, Said, World, counting, entities, is_forgotten
from tests.patience import eventually, granted
from tests.properties.changes import CONNECTORS, EPOCH, HOUR, histories
from tests.properties.harness import Installation, avro_value, json_value, policy_of, shown

HISTORIES = 500
REPEATED = 0.3
PARTITIONS = 4
DAY = 24 * HOUR
WORLD = World(
    {
        "git": Connector(priority=50),
        "cmdb": Connector(priority=50, ttl=3 * HOUR, grace=HOUR),
        "oncall": Connector(priority=100, ttl=HOUR, grace=2 * HOUR, asserts_existence=False),
    }
)


def drawn(seed: int) -> list[Said]:
    """Return some thousands of changes about some hundreds of entities, each history about names of its own."""
    found: list[list[Said]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=HISTORIES,
        database=None,
        derandomize=False,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(histories())
    def draw(history):
        found.append([_renamed(one, f"-{len(found)}") for one in history])

    draw()
    return [one for history in found for one in history]


def _renamed(said: Said, suffix: str) -> Said:
    document = dict(said.document)
    if "entityRef" in document:
        document["entityRef"] += suffix
    if "entity" in document:
        metadata = document["entity"]["metadata"]
        metadata = {**metadata, "name": metadata["name"] + suffix}
        document["entity"] = {**document["entity"], "metadata": metadata}
    return replace(said, document=document)


@dataclass(eq=False)
class ClockedWorker(WorkerProcess):
    """A worker whose clock is the file `clock` in its directory."""

    def set_clock(self, now: int) -> None:
        self.directory.mkdir(exist_ok=True)
        new = self.directory / "clock.new"
        new.write_text(str(now))
        new.replace(self.directory / "clock")

    def start(self) -> None:
        clock = str(self.directory / "clock")
        settings = json.dumps({**self.settings, "data_dir": str(self.data_dir), "clock": clock})
        with (self.directory / "out").open("ab") as out:
            self.process = subprocess.Popen([sys.executable, __file__, settings], stdout=out, stderr=subprocess.STDOUT)


class Running:
    """Topics of its own, a worker, and the clock; what is published is taken down for the oracle."""

    def __init__(self, bootstrap: str, directory: Path, random: random.Random) -> None:
        self.now = EPOCH
        self.random = random
        self.bootstrap = bootstrap
        self.topics = Topics(prefix=f"converge-{time.time_ns()}", partitions=PARTITIONS, replication_factor=1)
        # The changes are of 2023: nothing of them may be deleted for its age.
        kept = [
            replace(each, config={**each.config, "retention.ms": "-1"})
            for each in self.topics.definitions(CONNECTORS)
        ]  # fmt: skip
        Cluster({"bootstrap.servers": bootstrap}).create(kept)
        connectors = policy_of(WORLD).connectors
        fields = {
            name: {
                field: getattr(connectors[name], field) for field in ("priority", "ttl", "grace", "asserts_existence")
            }
            if name in connectors
            else {}
            for name in CONNECTORS
        }
        settings = {"bootstrap": bootstrap, "prefix": self.topics.prefix, "partitions": PARTITIONS,
                    "session_timeout": 6.0, "connectors": fields}  # fmt: skip
        self.worker = ClockedWorker(settings, directory / "worker")
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 2, "log_level": 0})
        self._keys = Installation(WORLD, partitions=PARTITIONS)

    def set_clock(self, seconds: float) -> None:
        """Let it be *seconds* after EPOCH."""
        self.now = EPOCH + round(seconds * 1000)
        self.worker.set_clock(self.now)

    def publish(self, said: list[Said]) -> None:
        """In JSON or Avro, one in eight under a wrong key or on any partition; return when all is acknowledged."""
        refused: list[object] = []
        for one in said:
            arrival = self._keys.arrival(one)
            key, partition = arrival.key, partition_of(arrival.key, PARTITIONS)
            if self.random.random() < 1 / 8:
                key, partition = self.random.choice((key, None, b"x")), self.random.randrange(PARTITIONS)
            value = self.random.choice((json_value, avro_value))(one.document)
            self._producer.produce(
                self.topics.changes(one.connector),
                value,
                key,
                partition,
                timestamp=one.timestamp,
                on_delivery=lambda error, _: error and refused.append(error),
            )
            self._producer.poll(0)
        assert self._producer.flush(30) == 0
        assert refused == []

    def settle(self) -> None:
        """Wait until every change is committed, those forwarded included."""
        said = self.worker.output
        eventually(lambda: not remaining(self.bootstrap, self.topics, CONNECTORS), 30, lambda: said()[-3000:])

    def published(self) -> list:
        return list(read_all(self.bootstrap, self.topics.entities, PARTITIONS))

    def held(self) -> dict[str, dict[str, tuple]]:
        """Return by key and connector the rank of each record that the changelog holds."""
        newest = {message.key(): message.value() for message in
                  read_all(self.bootstrap, self.topics.changelog, PARTITIONS)}  # fmt: skip
        return {
            key.decode(): {name: record.rank[:5] for name, record in decode_records(value).by_connector.items()}
            for key, value in newest.items()
            if value is not None and not key.startswith(RESERVED_PREFIX)
        }

    def newest(self) -> dict[str, object]:
        """Return the last message of each key, as compaction leaves it."""
        return {message.key().decode(): message for message in self.published()}

    def converged(self, expected: dict[str, dict], seconds: float = 15) -> dict[str, object]:
        """Wait until the topic holds *expected*; return the last message of each key."""
        deadline = granted() + seconds
        while (found := entities_of(messages := self.newest())) != expected and granted() < deadline:
            time.sleep(0.3)
        wrong = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
        said = f"{len(wrong)} of {len(expected)} entities differ; the worker: {self.worker.output()[-2000:]}"
        assert {key: found.get(key) for key in wrong[:3]} == {key: expected.get(key) for key in wrong[:3]}, said
        return messages


def entities_of(messages) -> dict[str, dict]:
    """Return what exists by the compacted topic, in the oracle's shape."""
    return {
        key: shown(decode_entity(message.value())) for key, message in messages.items() if message.value() is not None
    }


def offsets(messages) -> dict[str, int]:
    return {key: message.offset() for key, message in messages.items()}


def version_of(message) -> int:
    if message.value() is None:
        return int(dict(message.headers())["version"])
    return decode_entity(message.value()).version


@pytest.fixture
def running(kafka, tmp_path):
    seed = int(os.environ.get("MAINSTEM_TEST_SEED", time.time_ns() % 1_000_000))
    print("MAINSTEM_TEST_SEED =", seed)
    installation = Running(kafka, tmp_path, random.Random(seed))
    installation.seed = seed
    yield installation
    installation.worker.kill()


def test_shuffled_repeated_changes_through_broker_restart_and_expiry_end_in_the_oracles_entities(running):
    said = drawn(running.seed)
    delivered = said + running.random.choices(said, k=round(len(said) * REPEATED))
    running.random.shuffle(delivered)
    half = len(delivered) // 2

    running.set_clock(HOUR)
    running.publish(delivered[:half])
    running.worker.start()
    running.worker.wait_until_working()
    for begin in range(half, half + half // 2, 200):
        running.publish(delivered[begin : begin + 200])
        running.set_clock(HOUR + begin)
    published = begin + 200
    running.worker.stop()
    running.publish(delivered[published:])
    running.set_clock(2.5 * HOUR)
    running.worker.start()
    running.settle()
    before = running.converged(entities(said, WORLD, running.now))

    running.set_clock(5 * HOUR)
    running.converged(entities(said, WORLD, running.now))
    running.set_clock(2 * DAY)
    expected = entities(said, WORLD, running.now)
    after = running.converged(expected)

    vanished = {key for key, message in before.items() if message.value() is not None} - expected.keys()
    ended = {key: dict(after[key].headers()) for key in vanished}
    assert len(expected) > HISTORIES / 3
    assert len(vanished) > 5
    assert {headers["reason"] for headers in ended.values()} == {b"expired"}
    assert {int(headers["mergedAt"]) for headers in ended.values()} <= {EPOCH + 5 * HOUR * 1000, running.now}

    versions: dict[int, list[int]] = {}
    for message in running.published():
        versions.setdefault(message.partition(), []).append(version_of(message))
    assert all(of == sorted(set(of)) for of in versions.values())

    # Everything that has a ttl, and every delete, is forgotten: nobody downstream hears of it.
    running.set_clock(30 * DAY)
    time.sleep(2.5)  # two sweeps
    running.worker.stop()
    assert offsets(running.converged(expected)) == offsets(after)
    assert running.held() == {
        key: found
        for key, records in counting(said, WORLD).items()
        if (
            found := {
                name: record.rank[:5]
                for name, record in records.items()
                if not is_forgotten(record, WORLD, running.now)
            }
        )
    }


def _main() -> int:
    clock = Path(json.loads(sys.argv[1])["clock"])
    worker.Worker = functools.partial(Worker, clock=lambda: int(clock.read_text()))
    return worker.main()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    os._exit(_main())
