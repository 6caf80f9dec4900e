"""The sink `backstage` on a real Postgres and a server that speaks its module's protocol, with a list for a log."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry

from schemas.codec import encode_entity
from schemas.entities import MergedEntity, Vanished
from schemas.errors import Retriable
from schemas.partitions import partition_of
from schemas.refs import entity_key
from schemas.topics import Topics
from sinks.backstage.circuit import Pace
from sinks.backstage.sink import BackstageSink
from sinks.base import Delivery, SinkSettings
from sinks.batches import ends, isolate
from tests.backstage_module_server import LOCATIONS, ModuleServer
from tests.patience import granted

PATIENCE = 30.0


class Brisk(BackstageSink):
    """The same, impatient enough for a test."""

    tend_seconds = 0.05
    pace = Pace(probe_seconds=0.1, gate_seconds=0.05, read_seconds=0.5, total_seconds=1.0)


def shown(entity: MergedEntity) -> dict[str, Any]:
    """Return what Backstage holds of a merged entity."""
    body = copy.deepcopy(entity.entity)
    annotations = {**body["metadata"].get("annotations", {}), **dict.fromkeys(LOCATIONS, "mainstem:catalog")}
    body["metadata"]["annotations"] = annotations
    return body


def exactly(*entities: MergedEntity) -> dict[str, Any]:
    return {each.entity_ref: shown(each) for each in entities}


def rows(dsn: str) -> dict[str, tuple[int, str]]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT entity_ref, version, state FROM backstage_emissions").fetchall()
    return {ref: (version, state) for ref, version, state in found}


@dataclass
class Drive:
    """Drives one sink after the other over one log, each call as the runner makes it."""

    backstage: ModuleServer
    dsn: str
    topics: Topics = field(default_factory=lambda: Topics(partitions=2))
    kind: type[BackstageSink] = Brisk
    options: dict[str, Any] = field(default_factory=dict)
    log: list[Delivery] = field(default_factory=list)
    dead_letters: list[tuple[Delivery, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.partitions = [(self.topics.entities, number) for number in range(self.topics.partitions)]
        self.sink: BackstageSink | None = None
        self.begin()

    def settings(self) -> SinkSettings:
        given = {"base_url": self.backstage.url, "shards": 4, "resync_interval": "1h", **self.options}
        self.registry = CollectorRegistry()
        return SinkSettings(
            name="backstage", topics=self.topics, client={}, dsn=self.dsn, options=given, registry=self.registry
        )

    def begin(self) -> None:
        """A process starts, and is given every partition."""
        self.close()
        self.sink = self.kind(self.settings())
        stored = self.sink.stored_positions(self.partitions)
        anew = {at: 0 for at in self.partitions if at not in stored}
        if anew:
            self.sink.rewind(anew)
        self.positions = {**stored, **anew}

    def close(self) -> None:
        if self.sink is not None:
            self.sink.close()

    def publish(self, *told: MergedEntity | Vanished) -> None:
        for each in told:
            key = entity_key(each.tenant, each.entity_ref)
            is_gone = isinstance(each, Vanished)
            at = (self.topics.entities, partition_of(key, self.topics.partitions))
            offset = sum((found.topic, found.partition) == at for found in self.log)
            value = None if is_gone else encode_entity(each)
            headers = list(each.headers()) if is_gone else []
            self.log.append(
                Delivery(
                    topic=at[0], partition=at[1], offset=offset, key=key, value=value, headers=headers, timestamp=0
                )
            )

    def left(self) -> list[Delivery]:
        return [each for each in self.log if each.offset >= self.positions[each.topic, each.partition]]

    def carry(self, *told: MergedEntity | Vanished) -> None:
        """Carry on what was published, and end what is read anew."""
        self.publish(*told)
        batch = self.left()
        isolate(batch, self._write, lambda each, error: self.dead_letters.append((each, str(error))))
        self.positions |= ends(batch)
        self.patiently(lambda: self.sink.write((), ends(batch)))
        for partition in self.sink.rebuilding(self.partitions):
            self.patiently(lambda at=partition: self.sink.finish_rebuild(at))

    def tend_until(self, holds: Callable[[], bool]) -> None:
        until = granted() + PATIENCE
        while not holds():
            assert granted() < until, "it never came to hold"
            self.patiently(self.sink.tend)
            time.sleep(0.005)

    def resync(self) -> None:
        """Let the time between two resyncs be over, and wait until that one is complete."""
        before = self.metric("last_resync_seconds")
        self.sink._resync._due = 0.0
        self.tend_until(lambda: self.metric("last_resync_seconds") > before)

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"mainstem_backstage_{name}", labels) or 0.0

    def patiently(self, act: Callable[[], object]) -> None:
        until = granted() + PATIENCE
        while True:
            try:
                act()
            except Retriable:
                assert granted() < until, "it still says Retriable"
                time.sleep(0.01)
            else:
                return

    def _write(self, part: list[Delivery]) -> None:
        if part:
            self.patiently(lambda: self.sink.write(part, ends(part)))
