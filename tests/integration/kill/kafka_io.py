"""What the kill test reads from a broker, and how it publishes."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from schemas.topics import Topics
from tests.integration.kill.changes import Drawn
from tests.patience import granted
from tests.topics import bounds


@dataclass(frozen=True, slots=True)
class Published:
    """A change as the broker acknowledged it."""

    drawn: Drawn
    partition: int
    offset: int
    timestamp: int

    def is_misplaced(self, partitions: int) -> bool:
        ref = self.drawn.ref.encode()
        return self.drawn.way != "poison" and (self.drawn.key != ref or partition_of(ref, partitions) != self.partition)

    def origin(self, topics: Topics) -> str:
        return f"{topics.changes(self.drawn.connector)}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the broker put a record."""

    topic: str
    partition: int
    offset: int
    timestamp: int

    @property
    def origin(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def produce_and_wait(producer: Producer, topic: str, value: bytes | None, key: bytes | None, **options: Any) -> Sent:
    """Publish one record; return where it lies. *options* are those of Producer.produce."""
    answers: list[Any] = []
    producer.produce(topic, value, key, on_delivery=lambda *answer: answers.append(answer), **options)
    assert not producer.flush(30)
    error, message = answers[0]
    assert error is None, error
    return Sent(topic, message.partition(), message.offset(), message.timestamp()[1])


def partition_of(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


class Publisher:
    """Publishes at a rate; knows what was acknowledged. Misplaced changes go through librdkafka's own partitioner."""

    def __init__(self, bootstrap: str, topics: Topics, drawn: Iterator[Drawn]) -> None:
        settings = {"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True, "log_level": 0,
                    "message.max.bytes": 2_000_000}  # fmt: skip
        self._right = Producer({**settings, "partitioner": "murmur2_random"})
        self._wrong = Producer(settings)
        self._topics = topics
        self._drawn = drawn
        self.published: list[Published] = []

    def publish(self, count: int, rate: float) -> None:
        begin = time.monotonic()
        for number in range(count):
            self._produce(next(self._drawn))
            if number % 100 == 0:
                self._right.poll(0)
                self._wrong.poll(0)
                time.sleep(max(0.0, number / rate - (time.monotonic() - begin)))
        time.sleep(max(0.0, count / rate - (time.monotonic() - begin)))
        assert not self._right.flush(60)
        assert not self._wrong.flush(60)

    def not_acknowledged(self, drawn: Drawn, error: KafkaError) -> None:
        """Nobody knows whether *drawn* was written."""
        raise AssertionError(error, drawn)

    def _produce(self, drawn: Drawn) -> None:
        # Of a record that it has got twice, a broker acknowledges the time of the newest one beside it.
        timestamp = time.time_ns() // 1_000_000

        def acknowledged(error, message):
            if error is not None:
                self.not_acknowledged(drawn, error)
                return
            self.published.append(Published(drawn, message.partition(), message.offset(), timestamp))

        producer = self._wrong if drawn.way in ("crc32", "null-key") else self._right
        producer.produce(
            self._topics.changes(drawn.connector),
            drawn.value,
            drawn.key,
            headers=list(drawn.headers),
            timestamp=timestamp,
            on_delivery=acknowledged,
        )


def read_all(bootstrap: str, topic: str, partitions: int) -> Iterator[Any]:
    """Yield every message that *topic* holds now, each partition's in order."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "kill-reader", "log_level": 0,
                         "enable.auto.commit": False, "auto.offset.reset": "earliest"})  # fmt: skip
    ends, assigned = {}, []
    for partition in range(partitions):
        low, high = bounds(consumer, TopicPartition(topic, partition))
        if high > low:
            ends[partition] = high
            assigned.append(TopicPartition(topic, partition, low))
    consumer.assign(assigned)
    quiet_since = granted()
    while ends:
        for message in consumer.consume(5000, 0.5):
            assert message.error() is None, message.error()
            quiet_since = granted()
            yield message
            if message.offset() + 1 >= ends.get(message.partition(), 0):
                ends.pop(message.partition(), None)
        assert granted() - quiet_since < 30, f"{topic}: nothing more comes, and the end is not reached"
    consumer.close()


def remaining(bootstrap: str, topics: Topics, connectors: Iterable[str]) -> int:
    """Return how many records of the changes topics are not yet committed."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topics.processor_group,
                         "log_level": 0, "enable.auto.commit": False})  # fmt: skip
    wanted = [TopicPartition(topics.changes(name), at) for name in connectors for at in range(topics.partitions)]
    # Committed first: what is forwarded meanwhile only makes the end larger.
    try:
        committed = consumer.committed(wanted, timeout=20)
    except KafkaException as error:
        if not error.args[0].retriable() and error.args[0].code() != KafkaError.NOT_COORDINATOR:
            raise
        return 1  # nobody can tell at the moment
    ends = [bounds(consumer, each)[1] for each in wanted]
    consumer.close()
    return sum(end - max(0, each.offset) for each, end in zip(committed, ends, strict=True))


def by_highest_version(messages: Iterable[Any], version_of: Any) -> dict[bytes, Any]:
    """Return of each key the message with the highest version."""
    found: dict[bytes, Any] = {}
    for message in messages:
        held = found.get(message.key())
        if held is None or version_of(message) > version_of(held):
            found[message.key()] = message
    return found
