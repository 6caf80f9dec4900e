"""Changes onto their topic, each acknowledged by Kafka before anybody calls it published."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from confluent_kafka import KafkaError, KafkaException, Producer

from schemas.canonical import canonical_json
from schemas.changes import Change, Origin, read_change
from schemas.codec import decode_change
from schemas.errors import MainstemError, NotAcknowledgedError, TopicMismatchError, UnavailableError, ValidationError
from schemas.records import Record
from schemas.refs import DEFAULT_TENANT, entity_key

DELIVERY_MS: Final = 30_000
ANSWER_SECONDS: Final = 10.0
_BY_KEY: Final = -1
_FAR_FUTURE_MS: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A change as bytes, ready to be sent. *timestamp*: epoch ms, 0 = now. *partition*: None = by the key."""

    entity_ref: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = 0
    partition: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Kafka's acknowledgement of one change."""

    entity_ref: str
    topic: str
    partition: int
    offset: int


def draft(
    document: Mapping[str, Any], connector: str, *, tenant: str = DEFAULT_TENANT, is_complete: bool = False
) -> Draft:
    """Return *document*, a change as JSON, checked as the processor will check it.

    Raises ValidationError or DecodeError with what the processor would write into the dead letters.
    """
    return checked(document, connector, tenant=tenant, is_complete=is_complete)[0]


def checked(
    document: Mapping[str, Any], connector: str, *, tenant: str = DEFAULT_TENANT, is_complete: bool = False
) -> tuple[Draft, Record]:
    """As :func:`draft`, with the record that the processor will read in it, but for what Kafka adds."""
    try:
        value = canonical_json(document)
    except orjson.JSONEncodeError:
        raise ValidationError(("", "holds what JSON cannot, such as a text that is no Unicode")) from None
    return examined(value, connector, tenant=tenant, is_complete=is_complete)


def examined(
    value: bytes, connector: str, *, tenant: str = DEFAULT_TENANT, is_complete: bool = False
) -> tuple[Draft, Record]:
    """As :func:`checked`, of a change as it would stand on the topic: JSON or Avro."""
    # The record's timestamp is not known before it is sent; an observedAt ahead of it is clamped, not refused.
    origin = Origin(
        connector=connector, tenant=tenant, is_complete=is_complete, timestamp=_FAR_FUTURE_MS, id=f"{connector}/0/0"
    )
    change = read_change(decode_change(value), origin)
    if not isinstance(change, Change):
        raise ValidationError(("/op", "must be upsert or delete"))
    ref = str(change.ref)
    return Draft(entity_ref=ref, key=entity_key(tenant, ref), value=value), change.record


class Publisher:
    """Publishes the changes of one connector to its topic."""

    def __init__(self, client: Mapping[str, str | int | bool], topic: str, *, delivery_ms: int = DELIVERY_MS) -> None:
        self._topic = topic
        self._producer = Producer(
            {
                **client,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "delivery.timeout.ms": delivery_ms,
                "linger.ms": 5,
                # What a topic takes: librdkafka counts key and overhead as well, and a change may have 1,000,000 bytes.
                "message.max.bytes": 1_048_000,
            }
        )

    def partitions(self) -> int:
        """Ask Kafka how many partitions the topic has. Raises TopicMismatchError when there is no such topic, Retriable
        when nobody answers.
        """
        try:
            found = self._producer.list_topics(timeout=ANSWER_SECONDS).topics.get(self._topic)
        except KafkaException as error:
            raise _fault(error.args[0], self._topic) from None
        if found is None:
            raise _missing(self._topic)
        return len(found.partitions)

    def publish(self, drafts: Iterable[Draft]) -> list[Receipt]:
        """Send all, wait for all, return their receipts in order.

        Raises NotAcknowledgedError when Kafka did not acknowledge every one: some may have arrived, and sending them
        again does no harm.
        """
        sent = list(drafts)
        receipts: list[Receipt | None] = [None] * len(sent)
        faults: list[KafkaError] = []
        for place, each in enumerate(sent):
            self._send(place, each, receipts, faults)
            if faults:
                # Behind a queue that is full of what times out, each of the others would wait as long.
                break
        self._producer.flush()
        if faults:
            raise _fault(faults[0], self._topic)
        return [receipt for receipt in receipts if receipt is not None]

    def _send(self, place: int, each: Draft, receipts: list[Receipt | None], faults: list[KafkaError]) -> None:
        def answered(error: KafkaError | None, message: Any) -> None:
            if error is not None:
                faults.append(error)
            else:
                receipts[place] = Receipt(
                    entity_ref=each.entity_ref,
                    topic=message.topic(),
                    partition=message.partition(),
                    offset=message.offset(),
                )

        while True:
            try:
                self._producer.produce(
                    self._topic,
                    each.value,
                    each.key,
                    headers=list(each.headers),
                    timestamp=each.timestamp,
                    partition=_BY_KEY if each.partition is None else each.partition,
                    on_delivery=answered,
                )
            except BufferError:
                self._producer.poll(0.1)
                if faults:
                    return
            except KafkaException as error:
                raise _fault(error.args[0], self._topic) from None
            else:
                self._producer.poll(0)
                return


def _fault(error: KafkaError, topic: str) -> MainstemError:
    if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):  # noqa: SLF001
        return _missing(topic)
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return UnavailableError(f"Kafka does not let us write to {topic}: grant what `mainstem topics acls` prints")
    return NotAcknowledgedError(f"Kafka did not acknowledge: {error.str()}")


def _missing(topic: str) -> TopicMismatchError:
    connector = topic.rpartition(".")[2]
    return TopicMismatchError(f"topic {topic} does not exist: run `mainstem topics create --connector {connector}`")
