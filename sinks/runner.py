"""The loop that reads topics and hands batches to a sink: at least once, in order, never past what was written."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from schemas.errors import Retriable, Skippable, TopicMismatchError
from schemas.metrics import SinkMetrics
from sinks import kafka
from sinks.backoff import pauses
from sinks.base import Delivery, Partition, Positions, Sink
from sinks.batches import Batch, Limits, ends, isolate
from sinks.dead_letters import DeadLetters
from sinks.placement import starts

log = structlog.get_logger(__name__)

T = TypeVar("T")


class _Interrupted(Exception):  # noqa: N818 - no error: what is in flight is dropped and read again
    """The assignment changed, or the end was asked for, while a fault was being waited out."""


class SinkRunner:
    """Runs one sink in the calling thread, as one member of the consumer group `<prefix>-sink-<name>`.

    Partitions are taken and given back inside `poll` alone, so that nothing is being written meanwhile; what has
    been read and not written by then is dropped, and read again by whoever comes next.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        metrics: SinkMetrics,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = sink.settings
        self._sink = sink
        self._name = settings.name
        self._metrics = metrics
        self._limits = limits or Limits()
        self._clock = clock
        self._stop = threading.Event()
        self._next: dict[Partition, int] = {}
        self._unplaced: list[Partition] = []
        self._assignments = 0
        self._attempts = 0
        self._lag: int | None = None
        self._is_placed = False
        self._is_connected = True
        self._done = 0
        self._dead_letters = DeadLetters(settings.client, settings.topics.dead_letters, self._name)
        self._consumer: Consumer = kafka.consumer(
            settings.client,
            settings.topics.sink_group(self._name),
            on_commit=self._committed,
            on_look=self._looked,
        )

    @property
    def lag(self) -> int | None:
        """How many records are not yet carried on; None while the group has given no partitions, or Kafka is away."""
        return self._lag if self._is_connected else None

    @property
    def done(self) -> int:
        """How many records were carried on or set aside so far; what it grows by is progress."""
        return self._done

    def run(self, stop: threading.Event) -> None:
        """Carry records on until *stop* is set. Raises whatever must end the process; always closes everything."""
        self._stop = stop
        try:
            self._subscribe(list(self._sink.topics))
            while not stop.is_set():
                self._step()
        except _Interrupted:  # told to end before it began
            return
        finally:
            self._close()

    def _subscribe(self, topics: list[str]) -> None:
        until = self._clock() + kafka.ANSWER_SECONDS
        while absent := self._patiently(lambda: kafka.missing(self._consumer, topics)):
            if self._clock() >= until:
                raise TopicMismatchError(f"there is no topic {', '.join(absent)}; run `mainstem topics create`")
            self._rest(self._limits.wait)
        self._consumer.subscribe(topics, on_assign=self._assigned, on_revoke=self._revoked)
        log.info("sink.started", sink=self._name, topics=topics)

    def _step(self) -> None:
        try:
            if self._unplaced:
                self._place()
            batch = self._gather()
            if batch.ends:
                self._carry(batch)
        except _Interrupted:
            return
        self._observe()

    def _gather(self) -> Batch:
        """Read until the queue is dry, the batch is full or its time is over."""
        batch, began = Batch(self._limits), self._assignments
        delivery = self._read(self._limits.wait)
        deadline = self._clock() + self._limits.span
        while delivery is not None:
            if self._assignments == began:
                batch.add(delivery)
            if batch.is_full or self._clock() >= deadline:
                break
            delivery = self._read(0)
        if self._assignments != began:
            raise _Interrupted
        return batch

    def _read(self, seconds: float) -> Delivery | None:
        message: Message | None = self._consumer.poll(seconds)
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

    def _carry(self, batch: Batch) -> None:
        """Write the batch, poison set aside, and commit."""
        # What is read and not yet written is lag, however long the write takes.
        self._observe()
        began = self._clock()
        isolate(batch.deliveries, lambda part: self._write(part, batch), self._set_aside)
        left = {partition: end for partition, end in batch.ends.items() if self._next.get(partition) != end}
        if left:
            self._patiently(lambda: self._sink.write((), left))
            self._next |= left
        self._metrics.carried((each.timestamp for each in batch.deliveries), self._clock() - began, time.time())
        self._commit(batch.ends)
        self._done += len(batch.deliveries)
        self._metrics.progress.labels(self._name).set(time.time())
        log.debug("sink.batch_written", sink=self._name, records=len(batch.deliveries))

    def _write(self, part: Sequence[Delivery], batch: Batch) -> None:
        if not part:
            return
        positions = batch.ends if len(part) == len(batch.deliveries) else ends(part)
        self._patiently(lambda: self._sink.write(part, positions))
        self._next |= positions
        for delivery in part:
            self._metrics.rows.labels(self._name, delivery.topic).inc()

    def _set_aside(self, delivery: Delivery, error: Skippable) -> None:
        attempts = self._attempts
        self._patiently(lambda: self._dead_letters.publish(delivery, error, attempts=attempts))
        self._metrics.dead_letters.labels(self._name, delivery.topic).inc()

    def _patiently(self, act: Callable[[], T]) -> T:
        """Return what *act* returns, trying again for ever after what may pass, as a live member of the group."""
        self._attempts = 0
        for pause in pauses(random.random):
            self._attempts += 1
            try:
                return act()
            except Retriable as error:
                self._metrics.retries.labels(self._name).inc()
                log.warning("sink.retrying", sink=self._name, attempts=self._attempts, pause=pause, reason=str(error))
            self._rest(pause)
        raise AssertionError

    def _rest(self, seconds: float) -> None:
        """Wait, and keep polling: the group must not take the partitions away from a process that is alive."""
        began, until = self._assignments, self._clock() + seconds
        held = self._consumer.assignment()
        self._consumer.pause(held)
        while (left := until - self._clock()) > 0:
            if self._read(min(left, self._limits.wait)) is not None and self._assignments == began:
                raise RuntimeError("a paused partition delivered a record: reading on would lose it")
            if self._stop.is_set() or self._assignments != began:
                raise _Interrupted
        self._consumer.resume(held)

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # Nothing is fetched before the sink said where to begin, which may take as long as its system is away.
        self._consumer.assign([])
        self._unplaced = [(found.topic, found.partition) for found in partitions]
        self._is_placed = not partitions
        self._assignments += 1

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # librdkafka keeps a partition paused when it is given back, and silent when it is taken again.
        self._consumer.resume(partitions)
        self._assignments += 1
        self._unplaced = []
        self._is_placed = False
        self._lag = None
        for topic, partition in self._next:
            self._metrics.lag.remove(self._name, topic, str(partition))
        self._next = {}
        log.info("sink.partitions_revoked", sink=self._name, count=len(partitions))

    def _place(self) -> None:
        wanted = self._unplaced
        found = self._patiently(lambda: starts(self._sink, self._consumer, wanted))
        placed = [TopicPartition(topic, partition, found[topic, partition]) for topic, partition in wanted]
        self._consumer.assign(placed)
        self._unplaced = []
        self._next = dict(found)
        self._is_placed = True
        for topic in {topic for topic, _ in wanted}:  # a first failure that has no zero before it is not seen
            self._metrics.rows.labels(self._name, topic)
            self._metrics.dead_letters.labels(self._name, topic)
        self._observe()
        log.info("sink.partitions_assigned", sink=self._name, count=len(wanted))

    def _observe(self) -> None:
        if not self._is_placed:
            return
        self._lag = 0
        for (topic, partition), position in self._next.items():
            bounds = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            if bounds is not None and bounds[1] >= 0:
                behind = max(0, bounds[1] - position)
                self._metrics.lag.labels(self._name, topic, partition).set(behind)
                self._lag = (self._lag or 0) + behind
        if self.lag == 0:
            self._metrics.progress.labels(self._name).set(time.time())

    def _commit(self, positions: Positions) -> None:
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
        self._consumer.commit(offsets=offsets, asynchronous=True)

    def _committed(self, error: KafkaError | None, _: Any) -> None:
        # The next commit repeats it, and until then the records are merely read twice.
        if error is not None:
            log.warning("sink.commit_failed", sink=self._name, reason=error.str())

    def _looked(self, statistics: str) -> None:
        self._is_connected = kafka.is_connected(statistics)

    def _close(self) -> None:
        try:
            self._consumer.close()
            self._dead_letters.close()
        finally:
            self._sink.close()
        log.info("sink.stopped", sink=self._name)


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
