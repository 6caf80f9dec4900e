"""What the processor holds about one entity, read from where it keeps it: the changelog topic."""

from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from mainstem.cluster import ANSWER_SECONDS, Client
from schemas.codec import decode_records, records_version
from schemas.errors import UnavailableError
from schemas.records import Records
from schemas.topics import Topics

_FETCHED: Final = 10_000
_QUIET_SECONDS: Final = 30.0
"""How long a broker that has more to tell may say nothing."""


def held(
    client: Client, topics: Topics, key: bytes, *, show: Callable[[int, int], None] = lambda _done, _total: None
) -> Records | None:
    """Return the newest state of *key*, None when nothing is held. Reads one partition, from its start to its end.

    Of several states the highest version counts, as at recovery: a worker that was cut off may have written last.
    *show* is told how many of how many records were read. Raises UnavailableError.
    """
    from streams.intake import partition_of  # noqa: PLC0415 - brings the engine, which no other command needs

    at = TopicPartition(topics.changelog, partition_of(key, topics.partitions))
    # The group is never joined and nothing is committed.
    settings = {**client, "group.id": topics.operator_group, "enable.auto.commit": False}
    consumer = Consumer(settings | {"enable.partition.eof": True, "auto.offset.reset": "earliest"})
    try:
        newest = _newest(consumer, at, key, show)
    except KafkaException as error:
        raise UnavailableError(f"topic {topics.changelog} cannot be read: {error.args[0].str()}") from None
    finally:
        consumer.close()
    return None if newest is None else decode_records(newest)


def _newest(consumer: Consumer, at: TopicPartition, key: bytes, show: Callable[[int, int], None]) -> bytes | None:
    first, end = consumer.get_watermark_offsets(at, timeout=ANSWER_SECONDS)
    consumer.assign([TopicPartition(at.topic, at.partition, first)])
    newest: tuple[int, bytes | None] = (-1, None)
    position = first
    while position < end:
        messages = consumer.consume(_FETCHED, timeout=_QUIET_SECONDS)
        if not messages:
            raise UnavailableError(f"Kafka tells nothing more of {at.topic}, which ends at offset {end}; try again")
        for message in messages:
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - so librdkafka names its own
                    raise KafkaException(message.error())
                # What stood before the end may have been compacted away.
                position = end
            else:
                position = message.offset() + 1
                if message.key() == key:
                    newest = max(newest, (_version(message), message.value()), key=lambda state: state[0])
        show(min(position, end) - first, end - first)
    return newest[1]


def _version(message: Any) -> int:
    value = message.value()
    return records_version(value) if value is not None else int(dict(message.headers() or ())["version"])
