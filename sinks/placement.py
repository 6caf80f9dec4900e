"""Where a sink begins to read a partition that it was given."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.errors import TopicMismatchError
from sinks import kafka
from sinks.base import Partition, Positions, Sink

log = structlog.get_logger(__name__)

_EPOCH: Final = "epoch="


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where to begin. `missed` is how many offsets were removed before they were read."""

    offset: int
    missed: int = 0


class Committed(NamedTuple):
    """What the consumer group keeps of a partition."""

    offset: int
    epoch: int
    """The highest of the records before the offset; 0 where it was not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where to begin each partition of an assignment."""

    offsets: Positions
    rebuilding: Positions
    """Those that are read anew, and where that began."""
    epochs: Mapping[Partition, int]
    """The highest epoch before the offset, where it is known."""
    is_stored: bool
    """Whether the sink stores positions with what it writes."""


def begin(partition: Partition, stored: int | None, *, low: int, high: int, sink: str) -> Start:
    """Return the start of a partition that holds the offsets from *low* up to and without *high*.

    Raises TopicMismatchError when *stored* lies beyond the end: what was read is no longer the same topic.
    """
    if stored is None:
        return Start(offset=low)
    if stored > high:
        topic, number = partition
        raise TopicMismatchError(
            f"this sink has read {topic} partition {number} up to offset {stored}, but it ends at {high}:"
            " the topic was replaced or lost records; if it holds all that this sink shall show, run"
            f" `mainstem sinks rebuild {sink}`: it reads all from the start"
        )
    return Start(offset=max(stored, low), missed=max(0, low - stored))


def place(sink: Sink, consumer: Consumer, partitions: Collection[Partition]) -> Placement:
    """Return where to begin. Raises Retriable while Kafka or the sink cannot say it."""
    positions = sink.stored_positions(partitions)
    try:
        committed = _committed(consumer, partitions)
        bounds = {partition: watermarks(consumer, partition) for partition in partitions}
    except KafkaException as error:
        raise kafka.classified(error.args[0]) from error
    name = sink.settings.name
    stored = {at: known.offset for at, known in committed.items()} if positions is None else positions
    found = {
        partition: begin(partition, stored.get(partition), low=low, high=high, sink=name)
        for partition, (low, high) in bounds.items()
    }
    for (topic, number), start in found.items():
        if start.missed:
            log.error("sink.records_missed", sink=name, topic=topic, partition=number, count=start.missed)
    if anew := {at: start.offset for at, start in found.items() if start.missed or at not in stored}:
        sink.rewind(anew)
    return Placement(
        offsets={partition: start.offset for partition, start in found.items()},
        rebuilding=sink.rebuilding(partitions),
        # One that was committed further on tells of records that will be read again.
        epochs={at: known.epoch for at, known in committed.items() if known.offset <= found[at].offset},
        is_stored=positions is not None,
    )


def watermarks(consumer: Consumer, partition: Partition) -> tuple[int, int]:
    """Return the first offset of a partition and the one behind its last. Raises KafkaException."""
    low, high = consumer.get_watermark_offsets(TopicPartition(*partition), timeout=kafka.ANSWER_SECONDS)
    return low, high


def committing(positions: Positions, epochs: Mapping[Partition, int]) -> list[TopicPartition]:
    """Return what to commit: *positions*, and the highest epoch before each."""
    return [
        TopicPartition(*at, offset, metadata=f"{_EPOCH}{epochs[at]}" if at in epochs else "")
        for at, offset in positions.items()
    ]


def _committed(consumer: Consumer, partitions: Collection[Partition]) -> dict[Partition, Committed]:
    asked = [TopicPartition(*partition) for partition in partitions]
    answers = consumer.committed(asked, timeout=kafka.ANSWER_SECONDS)
    for answer in answers:
        if answer.error:
            raise KafkaException(answer.error)
    return {
        (answer.topic, answer.partition): Committed(answer.offset, _epoch_of(answer.metadata))
        for answer in answers
        if answer.offset >= 0
    }


def _epoch_of(metadata: str | None) -> int:
    text = (metadata or "").removeprefix(_EPOCH)
    return int(text) if text.isdecimal() else 0
