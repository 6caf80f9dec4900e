"""One member of a sink's consumer group: partitions come and go, records are read in batches."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.errors import Retriable, UnavailableError
from schemas.metrics import SinkMetrics
from sinks import kafka
from sinks.base import Delivery, Limits, Partition, Positions, SinkSettings
from sinks.batches import Batch
from sinks.placement import watermarks

log = structlog.get_logger(__name__)


class Interrupted(Exception):  # noqa: N818 - no error: what is in flight is dropped and read again
    """The assignment changed, or the end was asked for, while something was being waited for."""


class Membership:
    """Reads what the group `<prefix>-sink-<name>` gives this process.

    Partitions are taken and given back inside `poll` alone, so that nothing is being written meanwhile; what has
    been read and not written by then is dropped, and read again by whoever comes next.
    """

    def __init__(
        self,
        settings: SinkSettings,
        *,
        metrics: SinkMetrics,
        limits: Limits,
        reserved_keys: frozenset[bytes] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = settings.name
        self._metrics = metrics
        self._limits = limits
        self._reserved_keys = reserved_keys
        self._clock = clock
        self.stop = threading.Event()
        """Once it is set, a rest is interrupted."""
        self._assignments = 0
        self._is_placed = False
        self.positions: dict[Partition, int] = {}
        """Of each partition that was placed, how far it was carried on."""
        self.unplaced: list[Partition] = []
        """Partitions of which nothing is read before :meth:`begin`."""
        self._lag: int | None = None
        self._is_connected = True
        self._looks_in_vain = 0
        self.consumer: Consumer = kafka.consumer(
            settings.client,
            settings.topics.sink_group(self._name),
            on_commit=self._committed,
            on_look=self._looked,
        )

    @property
    def lag(self) -> int | None:
        """How many records are not yet carried on; None while the group has given no partitions, or Kafka is away."""
        return self._lag if self._is_connected else None

    def join(self, topics: Sequence[str]) -> None:
        self.consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked)

    def gather(self) -> Batch:
        """Read until the queue is dry, the batch is full or its time is over."""
        batch, began = Batch(self._limits, self._reserved_keys), self._assignments
        delivery = self._read(self._limits.wait)
        deadline = self._clock() + self._limits.span
        while delivery is not None:
            if self._assignments == began:
                batch.add(delivery)
            if batch.is_full or self._clock() >= deadline:
                break
            delivery = self._read(0)
        if self._assignments != began:
            raise Interrupted
        return batch

    def rest(self, seconds: float) -> None:
        """Wait, and keep polling: the group must not take the partitions away from a process that is alive."""
        began, until = self._assignments, self._clock() + seconds
        held = self.consumer.assignment()
        self.consumer.pause(held)
        while (left := until - self._clock()) > 0:
            if self._read(min(left, self._limits.wait)) is not None and self._assignments == began:
                raise RuntimeError("a paused partition delivered a record: reading on would lose it")
            if self.stop.is_set() or self._assignments != began:
                raise Interrupted
        self.consumer.resume(held)

    def begin(self, offsets: Positions) -> None:
        """Read the unplaced partitions from *offsets* on."""
        self.consumer.assign([TopicPartition(*partition, offsets[partition]) for partition in self.unplaced])
        self.unplaced = []
        self.positions = dict(offsets)
        self._is_placed = True
        self.observe()

    def place_again(self) -> None:
        """Let the next step ask anew where to begin."""
        self._assigned(self.consumer, [TopicPartition(*partition) for partition in self.positions])

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        """Return the first offset of a partition and the one behind its last, as the broker says now."""
        try:
            return watermarks(self.consumer, partition)
        except KafkaException as error:
            raise kafka.classified(error.args[0]) from error

    def observe(self) -> None:
        if not self._is_placed:
            return
        self._lag = 0
        for (topic, partition), position in self.positions.items():
            bounds = self.consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            if bounds is not None and bounds[1] >= 0:
                behind = max(0, bounds[1] - position)
                self._metrics.lag.labels(self._name, topic, partition).set(behind)
                self._lag = (self._lag or 0) + behind
        if self.lag == 0:
            self._metrics.progress.labels(self._name).set(time.time())

    def commit(self, offsets: list[TopicPartition]) -> None:
        self.consumer.commit(offsets=offsets, asynchronous=True)

    def _read(self, seconds: float) -> Delivery | None:
        if self._looks_in_vain >= kafka.LOOKS_IN_VAIN:
            # A broker that stood still may answer that there is none: librdkafka believes it, and may try none again.
            raise UnavailableError("Kafka's client looks for no broker any more: this process has to be started again")
        message: Message | None = self.consumer.poll(seconds)
        if message is None:  # a tombstone is false as well
            return None
        error: KafkaError | None = message.error()
        if error is None:
            return _delivery(message)
        fault = kafka.classified(error)
        if not isinstance(fault, Retriable):
            raise fault
        log.warning("sink.kafka_trouble", sink=self._name, reason=str(fault))
        return None

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # Nothing is fetched before the sink said where to begin, which may take as long as its system is away.
        self.consumer.assign([])
        self.unplaced = [(found.topic, found.partition) for found in partitions]
        self._is_placed = not partitions
        self._assignments += 1

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # librdkafka keeps a partition paused when it is given back, and silent when it is taken again.
        self.consumer.resume(partitions)
        self._assignments += 1
        self.unplaced = []
        self._is_placed = False
        self._lag = None
        for topic, partition in self.positions:
            self._metrics.lag.remove(self._name, topic, str(partition))
        self.positions = {}
        log.info("sink.partitions_revoked", sink=self._name, count=len(partitions))

    def _committed(self, error: KafkaError | None, _: Any) -> None:
        # The next commit repeats it, and until then the records are merely read twice.
        if error is not None:
            log.warning("sink.commit_failed", sink=self._name, reason=error.str())

    def _looked(self, statistics: str) -> None:
        self._is_connected = kafka.is_connected(statistics)
        self._looks_in_vain = 0 if kafka.is_looking(statistics) else self._looks_in_vain + 1


def _delivery(message: Message) -> Delivery:
    _, timestamp = message.timestamp()
    return Delivery(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        key=message.key() or b"",
        value=message.value(),
        headers=message.headers() or [],
        timestamp=timestamp,
    )
