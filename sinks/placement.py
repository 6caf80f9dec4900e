"""Where a sink begins to read a partition that it was given."""

from collections.abc import Collection
from dataclasses import dataclass

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.errors import TopicMismatchError
from sinks import kafka
from sinks.base import Partition, Positions, Sink

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where to begin. `missed` is how many offsets were removed before they were read."""

    offset: int
    missed: int = 0


def begin(partition: Partition, stored: int | None, *, low: int, high: int) -> Start:
    """Return the start of a partition that holds the offsets from *low* up to and without *high*.

    Raises TopicMismatchError when *stored* lies beyond the end: what was read is no longer the same topic.
    """
    if stored is None:
        return Start(offset=low)
    if stored > high:
        topic, number = partition
        raise TopicMismatchError(
            f"this sink has read {topic} partition {number} up to offset {stored}, but it ends at {high}:"
            " the topic was replaced or lost records; delete the sink's offsets, and it reads all from the start"
        )
    return Start(offset=max(stored, low), missed=max(0, low - stored))


def starts(sink: Sink, consumer: Consumer, partitions: Collection[Partition]) -> Positions:
    """Return where to begin each partition. Raises Retriable while Kafka or the sink cannot say it."""
    stored = sink.stored_positions(partitions)
    try:
        if stored is None:
            stored = _committed(consumer, partitions)
        bounds = {partition: _bounds(consumer, partition) for partition in partitions}
    except KafkaException as error:
        raise kafka.classified(error.args[0]) from error
    found = {}
    for partition, (low, high) in bounds.items():
        start = begin(partition, stored.get(partition), low=low, high=high)
        if start.missed:
            topic, number = partition
            log.error("sink.records_missed", sink=sink.settings.name, topic=topic, partition=number, count=start.missed)
        found[partition] = start.offset
    return found


def _committed(consumer: Consumer, partitions: Collection[Partition]) -> Positions:
    asked = [TopicPartition(*partition) for partition in partitions]
    answers = consumer.committed(asked, timeout=kafka.ANSWER_SECONDS)
    for answer in answers:
        if answer.error:
            raise KafkaException(answer.error)
    return {(answer.topic, answer.partition): answer.offset for answer in answers if answer.offset >= 0}


def _bounds(consumer: Consumer, partition: Partition) -> tuple[int, int]:
    low, high = consumer.get_watermark_offsets(TopicPartition(*partition), timeout=kafka.ANSWER_SECONDS)
    return low, high
