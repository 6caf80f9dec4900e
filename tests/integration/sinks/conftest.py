"""A stage for sinks: topics of the test's own on a real Kafka, and sinks that run on it."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client import CollectorRegistry

from schemas import database as schema
from schemas.canonical import canonical_json, content_hash
from schemas.codec import encode_entity, encode_records
from schemas.entities import MergedEntity, Vanished
from schemas.metrics import SinkMetrics
from schemas.records import Record, Records
from schemas.topics import Topics
from sinks.base import Sink, SinkSettings
from sinks.runner import SinkRunner
from tests import patience
from tests.patience import granted
from tests.topics import bounds

PATIENCE = 40.0


@dataclass
class Running:
    """A sink in a thread of its own."""

    sink: Sink
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    stop_event: threading.Event = field(default_factory=threading.Event)
    fault: BaseException | None = None

    def __post_init__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            metrics = SinkMetrics(self.sink.settings.name, self.registry)
            SinkRunner(self.sink, metrics=metrics).run(self.stop_event)
        except BaseException as fault:  # noqa: BLE001 - the test looks at it
            self.fault = fault

    def stop(self) -> BaseException | None:
        self.stop_event.set()
        return self.ended()

    def ended(self) -> BaseException | None:
        patience.eventually(lambda: not self._thread.is_alive(), PATIENCE, lambda: "the sink did not end", pause=0.01)
        return self.fault

    def count(self, name: str, topic: str) -> float:
        return self.registry.get_sample_value(name, {"sink": self.sink.settings.name, "topic": topic}) or 0.0

    def total(self, name: str) -> float:
        return sum(s.value for metric in self.registry.collect() for s in metric.samples if s.name == name)


@dataclass
class Stage:
    """Topics, and what writes to and reads from them."""

    bootstrap: str
    topics: Topics
    running: list[Running] = field(default_factory=list)

    def __post_init__(self):
        client = {"bootstrap.servers": self.bootstrap}
        self.admin = AdminClient(client)
        self.producer = Producer(
            {**client, "partitioner": "murmur2_random", "linger.ms": 1, "message.max.bytes": 8_000_000}
        )

    def settings(self, name: str, dsn: str = "", **options) -> SinkSettings:
        client = {"bootstrap.servers": self.bootstrap, "session.timeout.ms": 6000}
        return SinkSettings(name=name, topics=self.topics, client=client, dsn=dsn, options=options)

    def start(self, sink: Sink) -> Running:
        running = Running(sink, sink.settings.registry or CollectorRegistry())
        self.running.append(running)
        return running

    def publish(self, topic: str, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        self.producer.produce(topic, value, key, headers=list(headers))
        self.producer.flush(10)

    def upsert(self, entity: MergedEntity) -> None:
        self.publish(self.topics.entities, entity.entity_ref.encode(), encode_entity(entity))

    def vanish(self, ref: str, version: int, merged_at: int = 5000) -> None:
        gone = Vanished(tenant="default", entity_ref=ref, version=version, merged_at=merged_at, reason="deleted")
        self.publish(self.topics.entities, ref.encode(), None, gone.headers())

    def hold(self, ref: str, held: Records) -> None:
        self.publish(self.topics.changelog, ref.encode(), encode_records(held))

    def forget(self, ref: str, version: int) -> None:
        self.publish(self.topics.changelog, ref.encode(), None, [("version", b"%d" % version)])

    def forget_group(self, sink: str) -> None:
        """Remove all that Kafka knows about how far *sink* has read."""
        answers = self.admin.delete_consumer_groups([f"{self.topics.prefix}-sink-{sink}"])
        for answer in answers.values():
            answer.result(20)

    def read(self, topic: str, count: int) -> list[Message]:
        """Return the first *count* records of *topic*."""
        settings = {"bootstrap.servers": self.bootstrap, "group.id": uuid.uuid4().hex, "enable.auto.commit": False}
        consumer = Consumer(settings)
        consumer.assign([TopicPartition(topic, number, 0) for number in range(self.topics.partitions)])
        found: list[Message] = []
        until = granted() + PATIENCE
        while len(found) < count and granted() < until:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(message)
        consumer.close()
        return found

    def ends(self, topic: str) -> int:
        """Return how many records *topic* has ever held."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": uuid.uuid4().hex})
        partitions = range(self.topics.partitions)
        total = sum(bounds(consumer, TopicPartition(topic, number))[1] for number in partitions)
        consumer.close()
        return total


@pytest.fixture
def stage(kafka: str) -> Iterator[Stage]:
    topics = Topics(prefix=f"t{uuid.uuid4().hex[:10]}", partitions=2, replication_factor=1)
    found = Stage(kafka, topics)
    wanted = [
        NewTopic(t.name, num_partitions=t.partitions, replication_factor=1, config=dict(t.config))
        for t in topics.definitions([])
    ]
    for answer in found.admin.create_topics(wanted).values():
        answer.result(20)
    yield found
    for running in found.running:
        running.stop()
    for answer in found.admin.delete_topics([topic.topic for topic in wanted]).values():
        answer.result(20)


@pytest.fixture
def dsn(database: str) -> str:
    schema.migrate(database)
    return database


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    return partial(patience.eventually, seconds=PATIENCE, said=lambda: "it never came to hold", pause=0.05)


@pytest.fixture
def entity() -> Callable[..., MergedEntity]:
    def make(ref: str, version: int, **fields) -> MergedEntity:
        name = ref.partition("/")[2]
        body = fields.pop(
            "entity", {"kind": "Component", "metadata": {"name": name, "namespace": "default"}, "spec": {}}
        )
        service = fields.pop("service", {})
        made = {
            "tenant": "default",
            "content_hash": content_hash(canonical_json({"entity": body, "service": service})),
            "provenance": {"/kind": "git"},
            "change": "created",
            "changed": [""],
            "stale": [],
            "merged_at": 1_700_000_000_000,
        }
        return MergedEntity(entity_ref=ref, version=version, entity=body, service=service, **{**made, **fields})

    return make


@pytest.fixture
def whole(entity):
    """Return what makes an entity that Backstage takes."""

    def make(name, version, *, kind="Component", **fields):
        spec = fields.pop("spec", {"type": "service", "lifecycle": "production", "owner": "team-pay"})
        metadata = {"name": name, "namespace": "default", **fields}
        body = {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
        return entity(f"{kind.lower()}:default/{name.lower()}", version, entity=body)

    return make


@pytest.fixture
def records() -> Callable[..., Records]:
    def make(version: int, *connectors: str, **fields) -> Records:
        made = {
            "generation": 0,
            "version": 1,
            "observed_at": 1_700_000_000_000,
            "timestamp": 0,
            "ttl": None,
            "priority": None,
            "content_hash": "h",
            "content": b'{"entity":{"kind":"Component","metadata":{"name":"pay"}},"service":{"tier":1}}',
            "id": "changes/0/1",
        }
        held = {connector: Record(connector=connector, **{**made, **fields}) for connector in connectors}
        return Records(version=version, by_connector=held)

    return make
