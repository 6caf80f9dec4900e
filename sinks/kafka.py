"""Kafka as sinks use it: the settings of their clients, and what an error asks for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from schemas.errors import Fatal, MainstemError, Retriable, Skippable, TopicMismatchError, UnavailableError
from schemas.topics import MAX_ENTITY_BYTES, MAX_MESSAGE_BYTES

log = structlog.get_logger(__name__)

ANSWER_SECONDS: Final = 10.0
"""How long a broker may take to answer a question."""
DELIVERY_SECONDS: Final = 30.0
"""How long a produced record may take; well below the five minutes in which a consumer must poll."""

LOOK_MS: Final = 5_000
"""Between two looks at the connections to the brokers; above `reconnect.backoff.max.ms`, see :func:`is_looking`."""
LOOKS_IN_VAIN: Final = 3
"""In a row, before a client that no longer tries to reach a broker is given up."""
_AT_REST: Final = frozenset({"INIT", "DOWN", "TRY_CONNECT"})
"""States of a broker to which nothing leads, and no attempt is under way."""

SESSION_MS: Final = 10_000
"""After so long without a word, the partitions of a process that was killed go to another one."""

_REFUSALS: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - librdkafka's own errors are named so
        KafkaError._FATAL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    }
)
_PASSING: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001 - the next poll revokes and joins again
        KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._SSL,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
        KafkaError._STATE,  # noqa: SLF001 - a commit while the group is being joined
        KafkaError._NO_OFFSET,  # noqa: SLF001
        KafkaError._QUEUE_FULL,  # noqa: SLF001
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.UNKNOWN_MEMBER_ID,
    }
)
_MISSING: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)


def classified(error: KafkaError, *, size: int = MAX_MESSAGE_BYTES) -> MainstemError | KafkaException:
    """Return what to raise for *error*; the KafkaException itself where nothing is known about it.

    *size*: bytes of key and value of the record that was refused, where that is known.
    """
    if error.fatal() or error.code() in _REFUSALS:
        return UnavailableError(f"Kafka refuses this sink: {error.str()}")
    if error.code() in _MISSING:
        return TopicMismatchError(f"{error.str()}; run `mainstem topics create`")
    if error.code() in _PASSING or error.retriable():
        return Retriable(f"Kafka: {error.str()}")
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        if size < MAX_ENTITY_BYTES:
            # The topic is to blame and not the record, which would be lost to its readers.
            return TopicMismatchError(f"a record of {size} bytes is refused as too large; run `mainstem topics check`")
        return Skippable(f"the record that would be written has more than {MAX_MESSAGE_BYTES} bytes")
    return KafkaException(error)


def fault(error: KafkaError) -> MainstemError:
    """Return what a command raises for *error*: a sentence in any case."""
    found = classified(error)
    return found if isinstance(found, MainstemError) else UnavailableError(f"Kafka: {error.str()}; try again")


def report(error: KafkaError) -> None:
    """librdkafka's error callback: raise what ends the process out of the poll that is under way, log the rest."""
    fault = classified(error)
    if isinstance(fault, Fatal):
        raise fault
    log.warning("kafka.trouble", code=error.name(), reason=error.str())


def is_connected(statistics: str) -> bool:
    """Whether *statistics*, as librdkafka gives them, show a broker that answers."""
    return any(broker["state"] == "UP" for broker in orjson.loads(statistics)["brokers"].values())


def is_looking(statistics: str) -> bool:
    """Whether *statistics* show a broker that is reached, or an attempt to reach one since the last look."""
    # Of the group's coordinator, the one that is logical, attempts lead nowhere while no broker is known.
    return any(
        each["state"] == "UP"
        or (each["source"] != "logical" and (each["state"] not in _AT_REST or each["stateage"] < LOOK_MS * 1000))
        for each in orjson.loads(statistics)["brokers"].values()
    )


def missing(client: Consumer, topics: Sequence[str]) -> list[str]:
    """Return which *topics* the broker does not know; it learns of a new one a moment after it was made."""
    try:
        known = client.list_topics(timeout=ANSWER_SECONDS).topics
    except KafkaException as error:
        raise classified(error.args[0]) from error
    return [topic for topic in topics if topic not in known or known[topic].error is not None]


def consumer(
    client: Mapping[str, str | int | bool],
    group: str,
    *,
    on_commit: Callable[[KafkaError | None, Any], None],
    on_look: Callable[[str], None],
) -> Consumer:
    """Return a consumer that decides nothing by itself: no commits, a small queue, the start where none is known."""
    return _opened(
        Consumer,
        {
            **client,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": SESSION_MS,
            "partition.assignment.strategy": "range",  # a key's partition of every topic goes to the same process
            # A topic that the broker did not know yet is not assigned before this refresh, 5 min by default.
            "topic.metadata.refresh.interval.ms": 5000,
            "queued.max.messages.kbytes": 16 * 1024,
            "error_cb": report,
            "on_commit": on_commit,
            "statistics.interval.ms": LOOK_MS,
            "stats_cb": on_look,
        },
    )


def producer(client: Mapping[str, str | int | bool]) -> Producer:
    return _opened(
        Producer,
        {
            **client,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "delivery.timeout.ms": round(DELIVERY_SECONDS * 1000),
            "error_cb": report,
        },
    )


def _opened(kind: Callable[[dict[str, Any]], Any], settings: dict[str, Any]) -> Any:
    try:
        return kind(settings)
    except KafkaException as error:
        raise UnavailableError(f"Kafka's client cannot be opened with these settings: {error.args[0].str()}") from None
