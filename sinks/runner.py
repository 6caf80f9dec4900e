"""The loop that reads topics and hands batches to a sink: at least once, in order, never past what was written."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from schemas.errors import Retriable, Skippable, TopicMismatchError
from schemas.metrics import SinkMetrics
from sinks import kafka
from sinks.backoff import pauses
from sinks.base import Delivery, Limits, Sink
from sinks.batches import Batch, ends, isolate
from sinks.dead_letters import DeadLetters
from sinks.fence import Fence
from sinks.membership import Interrupted, Membership
from sinks.placement import committing, place
from sinks.upkeep import Upkeep

log = structlog.get_logger(__name__)

T = TypeVar("T")


class SinkRunner:
    """Runs one sink in the calling thread, as one member of its consumer group."""

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
        self._limits = limits or sink.limits
        self._clock = clock
        self._stop = threading.Event()
        self._attempts = 0
        self._done = 0
        self._dead_letters = DeadLetters(settings.client, settings.topics.dead_letters, self._name)
        self._group = Membership(
            settings, metrics=metrics, limits=self._limits, reserved_keys=sink.reserved_keys, clock=clock
        )
        self._fence = Fence(settings.topics)
        self._upkeep = Upkeep(sink, self._group, metrics, self._patiently, clock)

    @property
    def lag(self) -> int | None:
        """How many records are not yet carried on; None while the group has given no partitions, or Kafka is away."""
        return self._group.lag

    @property
    def done(self) -> int:
        """How many records were carried on or set aside so far; what it grows by is progress."""
        return self._done

    def run(self, stop: threading.Event) -> None:
        """Carry records on until *stop* is set. Raises whatever must end the process; always closes everything."""
        self._stop = self._group.stop = stop
        try:
            self._join(list(self._sink.topics))
            while not self._stop.is_set():
                self._step()
        except Interrupted:  # told to end before it began
            return
        finally:
            self._close()

    def _join(self, topics: list[str]) -> None:
        until = self._clock() + kafka.ANSWER_SECONDS
        while absent := self._patiently(lambda: kafka.missing(self._group.consumer, topics)):
            if self._clock() >= until:
                raise TopicMismatchError(f"there is no topic {', '.join(absent)}; run `mainstem topics create`")
            self._group.rest(self._limits.wait)
        self._group.join(topics)
        log.info("sink.started", sink=self._name, topics=topics)

    def _step(self) -> None:
        try:
            if self._group.unplaced:
                self._place()
            batch = self._group.gather()
            if batch.ends:
                self._pass_over_late(batch)
                self._carry(batch)
            self._upkeep.run()
        except Interrupted:
            return
        self._group.observe()

    def _place(self) -> None:
        wanted = self._group.unplaced
        found = self._patiently(lambda: place(self._sink, self._group.consumer, wanted))
        self._upkeep.begin(found)
        self._fence.begin(found.epochs)
        for topic in {topic for topic, _ in wanted}:  # a first failure that has no zero before it is not seen
            self._metrics.begin_topic(self._name, topic)
        self._group.begin(found.offsets)
        log.info("sink.partitions_assigned", sink=self._name, count=len(wanted), rebuilding=len(found.rebuilding))

    def _pass_over_late(self, batch: Batch) -> None:
        """Leave out what a worker wrote that had lost its partition; its successor writes it anew, behind it."""
        late = [delivery for delivery in batch.deliveries if self._fence.is_late(delivery)]
        # While a partition is read anew, the only record of a key may be one of them.
        late = [delivery for delivery in late if not self._upkeep.is_rebuilding(delivery.topic, delivery.partition)]
        for delivery in late:
            log.warning("sink.late_record_passed_over", sink=self._name, topic=delivery.topic,
                        partition=delivery.partition, offset=delivery.offset)  # fmt: skip
            self._metrics.late.labels(self._name, delivery.topic).inc()
        if late:
            batch.leave_out(late)

    def _carry(self, batch: Batch) -> None:
        """Write the batch, poison set aside, and commit."""
        # What is read and not yet written is lag, however long the write takes.
        self._group.observe()
        began = self._clock()
        isolate(batch.deliveries, lambda part: self._write(part, batch), self._set_aside)
        positions = self._group.positions
        left = {partition: end for partition, end in batch.ends.items() if positions.get(partition) != end}
        if left:
            self._patiently(lambda: self._sink.write((), left))
            self._group.positions |= left
        self._metrics.carried((each.timestamp for each in batch.deliveries), self._clock() - began, time.time())
        self._group.commit(committing(batch.ends, self._fence.epochs))
        self._done += len(batch.deliveries)
        self._metrics.progress.labels(self._name).set(time.time())
        log.debug("sink.batch_written", sink=self._name, records=len(batch.deliveries))

    def _write(self, part: Sequence[Delivery], batch: Batch) -> None:
        if not part:
            return
        positions = batch.ends if len(part) == len(batch.deliveries) else ends(part)
        self._patiently(lambda: self._sink.write(part, positions))
        self._group.positions |= positions
        for delivery in part:
            self._metrics.rows.labels(self._name, delivery.topic).inc()
            if self._upkeep.is_rebuilding(delivery.topic, delivery.partition):
                self._metrics.replayed.labels(self._name, delivery.topic).inc()

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
            self._group.rest(pause)
        raise AssertionError

    def _close(self) -> None:
        try:
            self._group.consumer.close()
            self._dead_letters.close()
        finally:
            self._sink.close()
        log.info("sink.stopped", sink=self._name)
