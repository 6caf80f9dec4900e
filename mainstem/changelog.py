"""What the processor holds about one entity, read from where it keeps it: the changelog topic."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from mainstem.cluster import ANSWER_SECONDS, Client
from schemas.codec import decode_records, records_version
from schemas.errors import UnavailableError
from schemas.partitions import partition_of
from schemas.records import Records
from schemas.topics import OUTAGES_KEY, Topics
from streams.outages import Outages
from streams.table import VERSION_HEADER

_SHOWN: Final = 1_000
_QUIET_SECONDS: Final = 30.0
"""How long a broker that has more to tell may say nothing."""


def held(
    client: Client, topics: Topics, key: bytes, *, show: Callable[[int, int], None] = lambda _done, _total: None
) -> tuple[Records | None, Outages]:
    """Return the newest state of *key*, None when nothing is held, and the outages of which its partition heard.

    Reads one partition, from its start to its end. Of several states the highest version counts, as at recovery: a
    worker that was cut off may have written last. *show* is told how many of how many records were read. Raises
    UnavailableError.
    """
    at = TopicPartition(topics.changelog, partition_of(key, topics.partitions))
    # The group is never joined and nothing is committed.
    settings = {**client, "group.id": topics.operator_group, "enable.auto.commit": False}
    consumer = Consumer(settings | {"enable.partition.eof": True, "auto.offset.reset": "earliest"})
    newest: dict[bytes, tuple[int, bytes | None]] = {key: (-1, None), OUTAGES_KEY: (-1, None)}
    try:
        for message in _records(consumer, at, show):
            if message.key() in newest:
                state = (version_of(message), message.value())
                newest[message.key()] = max(newest[message.key()], state, key=lambda state: state[0])
    except KafkaException as error:
        raise UnavailableError(f"topic {topics.changelog} cannot be read: {error.args[0].str()}") from None
    finally:
        consumer.close()
    value = newest[key][1]
    return None if value is None else decode_records(value), Outages.decode(newest[OUTAGES_KEY][1])


def _records(consumer: Consumer, at: TopicPartition, show: Callable[[int, int], None]) -> Iterator[Any]:
    """Yield what the partition holds now."""
    first, end = consumer.get_watermark_offsets(at, timeout=ANSWER_SECONDS)
    consumer.assign([TopicPartition(at.topic, at.partition, first)])
    position = first
    while position < end:
        # Not `consume`: it waits for as many as it may return.
        message = consumer.poll(_QUIET_SECONDS)
        if message is None:
            raise UnavailableError(f"Kafka tells nothing more of {at.topic}, which ends at offset {end}; try again")
        if message.error() is None:
            position = message.offset() + 1
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - so librdkafka names its own
            # What stood before the end may have been compacted away.
            position = end
        else:
            raise KafkaException(message.error())
        if position == end or position % _SHOWN == 0:
            show(min(position, end) - first, end - first)


def version_of(message: Any) -> int:
    """Return the version of a record of the changelog that is a state, the end of one, or the outages."""
    value = message.value()
    if value is None:
        return int(dict(message.headers() or ()).get(VERSION_HEADER, 0))
    return int(orjson.loads(value)["version"]) if message.key() == OUTAGES_KEY else records_version(value)
