"""The topic of events, as one reader sees it: its records, where it begins and ends, and where a moment is."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from mainstem.refusals import is_denied, unavailable
from schemas.errors import UnavailableError
from schemas.refs import EntityRef, entity_key, parse_entity_key
from schemas.topics import Topics

ANSWER_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 30.0
"""For so long Kafka may send nothing although there is more."""
_DIGITS: Final = 20
"""That a version never has: it is of 63 bits."""
_READ_AT_ONCE: Final = 200
# What Kafka's protocol says in place of a moment.
_EARLIEST: Final = -2
_LATEST: Final = -1

Positions = dict[int, int]
"""By partition, the offset of the next record."""


class Event(NamedTuple):
    """A record of the topic. *id* is its `ce_id`; without one, nobody is told of it."""

    id: str
    tenant: str
    data: bytes
    partition: int
    offset: int
    timestamp: int
    """Epoch ms, by the clock of who sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventId:
    """What a `ce_id` says."""

    tenant: str
    ref: str
    version: int

    @classmethod
    def parse(cls, text: str) -> "EventId":
        """Raises ValueError for what is none."""
        key, at, version = text.rpartition("@")
        if not (at and version.isascii() and version.isdigit() and len(version) < _DIGITS and int(version) < 2**63):
            raise ValueError(text)
        tenant, ref = parse_entity_key(key.encode())
        return cls(tenant=tenant, ref=str(EntityRef.parse(ref)), version=int(version))

    @property
    def key(self) -> bytes:
        return entity_key(self.tenant, self.ref)

    def __str__(self) -> str:
        return f"{self.key.decode()}@{self.version}"


class TopicReader:
    """One consumer, to be used by one thread at a time. Every method raises UnavailableError when Kafka is away."""

    def __init__(self, client: Mapping[str, str | int | bool], topics: Topics) -> None:
        self._client = client
        self._topic = topics.service_updated
        self._faults: list[KafkaError] = []
        self._consumer = Consumer(
            {
                **client,
                "group.id": topics.operator_group,
                "enable.auto.commit": False,
                # What lies before the start was removed: the rest is all there is.
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 16 * 1024,
                "error_cb": self._note,
            }
        )
        try:
            self.partitions = self._count()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._consumer.close()

    def bounds(self) -> dict[int, tuple[int, int]]:
        """Return of each partition its first offset and the one behind its last."""
        first, ends = self._offsets(_EARLIEST), self.ends()
        return {number: (first[number], end) for number, end in ends.items()}

    def ends(self) -> Positions:
        return self._offsets(_LATEST)

    def since(self, moment: int) -> Positions:
        """Return of each partition the first offset of that time (epoch ms) or later; its end where there is none."""
        # Before the question: what comes between the two is behind it.
        ends = self.ends()
        found = self._offsets(max(0, moment))
        return {number: offset if offset >= 0 else ends[number] for number, offset in found.items()}

    def begin(self, starts: Positions) -> None:
        self._consumer.assign([TopicPartition(self._topic, number, offset) for number, offset in starts.items()])

    def pause(self, numbers: set[int]) -> None:
        self._consumer.pause([TopicPartition(self._topic, number) for number in numbers])

    def resume(self, numbers: set[int]) -> None:
        self._consumer.resume([TopicPartition(self._topic, number) for number in numbers])

    def read(self, seconds: float, at_most: int = _READ_AT_ONCE) -> list[Event]:
        """Return what has come within *seconds*."""
        found = []
        for message in self._consumer.consume(at_most, timeout=seconds):
            error = message.error()
            if error is None:
                found.append(_event(message))
            elif is_denied(error):
                raise unavailable(error, self._faults, self._client)
        return found

    def scan(self, number: int, start: int, end: int) -> Iterator[Event]:
        """Yield what one partition holds from *start* up to *end*. Meanwhile nothing else is read."""
        if start >= end:
            return
        self.begin({number: start})
        try:
            yield from self._scanned(end)
        finally:
            # While the broker is waited on for more, it answers no question on the same connection.
            self._consumer.unassign()

    def _scanned(self, end: int) -> Iterator[Event]:
        quiet_since = time.monotonic()
        while True:
            found = self.read(0.2)
            quiet_since = time.monotonic() if found else quiet_since
            for event in found:
                if event.offset < end:
                    yield event
                if event.offset + 1 >= end:
                    return
            self.require(quiet_since)

    def require(self, quiet_since: float) -> None:
        """Raise UnavailableError when there was nothing to read for too long, though there is more."""
        if time.monotonic() - quiet_since > PATIENCE_SECONDS:
            raise UnavailableError(f"Kafka sends nothing more of {self._topic}")

    def _count(self) -> int:
        found = self._asked(lambda: self._consumer.list_topics(self._topic, timeout=ANSWER_SECONDS)).topics[self._topic]
        if found.error is not None:
            if is_denied(found.error):
                raise unavailable(found.error, self._faults, self._client)
            raise UnavailableError(f"there is no topic {self._topic}; run `mainstem topics create`")
        return len(found.partitions)

    def _offsets(self, moment: int) -> Positions:
        """Return of each partition the first offset of *moment* or later, negative where there is none: one question
        about all, since one about each would wait for half a second behind what is being read.
        """
        asked = [TopicPartition(self._topic, number, moment) for number in range(self.partitions)]
        found = self._asked(lambda: self._consumer.offsets_for_times(asked, timeout=ANSWER_SECONDS))
        for each in found:
            if each.error is not None:
                raise unavailable(each.error, self._faults, self._client)
        return {each.partition: each.offset for each in found}

    def _asked(self, question: Any) -> Any:
        try:
            return question()
        except KafkaException as error:
            raise unavailable(error.args[0], self._faults, self._client) from None

    def _note(self, error: KafkaError) -> None:
        self._faults = [*self._faults[-9:], error]


def _event(message: Any) -> Event:
    headers = dict(message.headers() or ())
    key, value = message.key() or b"", message.value()
    place = message.partition(), message.offset(), message.timestamp()[1]
    try:
        told = (headers.get("ce_id") or b"").decode()
        return Event(told if value else "", parse_entity_key(key)[0], value or b"", *place)
    except UnicodeDecodeError:
        return Event("", "", b"", *place)
