"""Records written to Kafka and answered for: nothing counts as sent before the broker said so."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.errors import MainstemError, Retriable
from sinks import kafka


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One record to be written."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Outbox:
    """A producer that is opened when the first record is sent."""

    def __init__(self, client: Mapping[str, str | int | bool]) -> None:
        self._client = client
        self._producer: Producer | None = None

    def send(self, records: Iterable[Outgoing]) -> None:
        """Return once the brokers have answered for all *records*.

        Records of one key arrive in their order, also when some of them fail: the next one is not sent before
        the one ahead of it is answered. Raises Retriable for what may pass; some may have arrived then.
        """
        for wave in waves(records):
            self._send_at_once(wave)

    def close(self) -> None:
        if self._producer is not None:
            self._producer.flush(kafka.ANSWER_SECONDS)

    def _send_at_once(self, records: Sequence[Outgoing]) -> None:
        if self._producer is None:
            self._producer = kafka.producer(self._client)
        producer = self._producer
        faults: list[MainstemError | KafkaException] = []

        def answered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                faults.append(kafka.classified(error, size=len(message.key() or b"") + len(message.value() or b"")))

        try:
            for record in records:
                headers = list(record.headers)
                producer.produce(record.topic, record.value, record.key, headers=headers, on_delivery=answered)
        except KafkaException as error:
            faults.append(kafka.classified(error.args[0]))
        except BufferError as error:
            raise Retriable("the producer's queue is full") from error
        finally:
            unanswered = producer.flush(kafka.DELIVERY_SECONDS + kafka.ANSWER_SECONDS)
        if faults:
            raise faults[0]
        if unanswered:
            raise Retriable(f"Kafka has not answered for {unanswered} records")


def waves(records: Iterable[Outgoing]) -> list[list[Outgoing]]:
    """Part *records* so that no wave holds a key twice and a key's records keep their order."""
    parted: list[list[Outgoing]] = []
    seen: Counter[bytes] = Counter()
    for record in records:
        if seen[record.key] == len(parted):
            parted.append([])
        parted[seen[record.key]].append(record)
        seen[record.key] += 1
    return parted
