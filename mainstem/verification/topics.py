"""What the two topics say about the entities of one partition, read up to an end and followed from there."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from mainstem.changelog import version_of
from mainstem.verification.digests import digest, seconds
from mainstem.verification.sides import View, Wanted
from schemas.codec import decode_entity, decode_records
from schemas.entities import Entity, MergedEntity
from schemas.errors import Retriable, Skippable
from schemas.records import Records
from schemas.topics import OUTAGES_KEY, RESERVED_PREFIX, Topics
from sinks import kafka
from sinks.base import Partition, Positions
from sinks.entities import read_key
from sinks.placement import watermarks
from sinks.postgres.rows import Row, record_rows
from streams.merge import merge
from streams.outages import Outages
from streams.policy import Policy

_READ_SECONDS: Final = 60.0
RECORD_JSON: Final = ("metadata", "spec", "service")


class Reader:
    """Reads partitions of the changelog and the entities topic, each from where it was left."""

    def __init__(self, client: dict[str, str | int | bool], topics: Topics, policy: Policy) -> None:
        self._topics = topics
        self._policy = policy
        settings = {**client, "enable.partition.eof": True}
        group = topics.operator_group
        self._consumer: Consumer = kafka.consumer(settings, group, on_commit=_ignored, on_look=_ignored)
        self._first: dict[Partition, int] = {}
        self._next: dict[Partition, int] = {}
        self._outages: dict[int, Outages] = {}
        self._outages_version: dict[int, int] = {}

    def ends(self, partition: int) -> Positions:
        """Return where both topics end now, that of the entities looked at last: what is held was published before."""
        found = {}
        for topic in (self._topics.changelog, self._topics.entities):
            at = (topic, partition)
            try:
                low, high = watermarks(self._consumer, at)
            except KafkaException as error:
                raise kafka.fault(error.args[0]) from None
            self._next.setdefault(at, low)
            self._first[at] = low
            found[at] = high
        return found

    def read(self, known: dict[bytes, Wanted], ends: Positions, only: Collection[bytes] | None = None) -> Iterator[int]:
        """Bring *known* up to *ends*, or the keys of *only*. Yield how many offsets were read, now and then."""
        for at, end in ends.items():
            outages = self._outages.get(at[1])
            yield from self._pass(known, at, end, only)
            if self._outages.get(at[1]) != outages:
                # What stood before them was merged without knowing of them.
                self._next[at] = self._first[at]
                for wanted in known.values():
                    wanted.state = -1
                for _ in self._pass(known, at, end, only):
                    yield 0

    def _pass(
        self, known: dict[bytes, Wanted], at: Partition, end: int, only: Collection[bytes] | None
    ) -> Iterator[int]:
        for message in self._messages(at, end):
            key: bytes = message.key() or b""
            if key == OUTAGES_KEY and at[0] == self._topics.changelog:
                self._hear(at[1], message)
            elif not key.startswith(RESERVED_PREFIX) and (only is None or key in only):
                # What cannot be read is a dead letter of the sinks: nobody carried it on.
                with suppress(Skippable, ValueError, KeyError, TypeError):
                    read_key(key)
                    self._take(known.setdefault(key, Wanted()), message)
            before, self._next[at] = self._next[at], message.offset() + 1
            yield self._next[at] - before
        yield max(0, end - self._next[at])
        self._next[at] = max(end, self._next[at])

    def close(self) -> None:
        self._consumer.close()

    def _messages(self, at: Partition, end: int) -> Iterator[Message]:
        if self._next[at] >= end:
            return
        self._consumer.assign([TopicPartition(*at, self._next[at])])
        while True:
            message: Message | None = self._consumer.poll(_READ_SECONDS)
            if message is None:
                raise Retriable(f"Kafka hands out nothing of {at[0]} partition {at[1]}: try again once it is well")
            error: KafkaError | None = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own
                return
            if error is not None:
                raise kafka.fault(error)
            if message.offset() >= end:
                return
            yield message
            if message.offset() == end - 1:
                return

    def _hear(self, partition: int, message: Message) -> None:
        """Take the outages of the highest version: a worker that was cut off may have written last."""
        version = version_of(message)
        if version > self._outages_version.get(partition, -1):
            self._outages_version[partition] = version
            self._outages[partition] = Outages.decode(message.value())

    def _take(self, wanted: Wanted, message: Message) -> None:
        value: bytes | None = message.value()
        if message.topic() == self._topics.changelog:
            held = None if value is None else decode_records(value)
            version = _version(message) if held is None else held.version
            if version >= wanted.state:
                wanted.records = {} if held is None else dict(_record_digests(message.key(), held))
                wanted.merged = None if held is None else self._merged(held, message.partition())
                wanted.state = version
            return
        entity = None if value is None else decode_entity(value)
        version = _version(message) if entity is None else entity.version
        if version >= wanted.version:
            wanted.published = None if entity is None else view(entity)
            wanted.version = version

    def _merged(self, held: Records, partition: int) -> View | None:
        """Merge as the processor did last, under the policy of today and the outages that it knows of."""
        outages = self._outages.get(partition, Outages()).intervals
        found = merge(held.by_connector.values(), replace(self._policy, outages=outages), now=held.merged_at)
        return None if found is None else view(found)


def view(entity: Entity | MergedEntity) -> View:
    origin = [dict(entity.provenance), list(entity.stale), entity.content_hash]
    return View(digest([entity.entity, entity.service]), digest(origin))


def record_digest(row: Row) -> str:
    """Return the digest of a row of `entity_records`, its JSON read and its times in seconds."""
    return digest([str(value) if isinstance(value, float) else value for _, value in sorted(row.items())])


def _record_digests(key: bytes, held: Records) -> Iterator[tuple[str, str]]:
    for row in record_rows(key, held):
        texts = {name: orjson.loads(row[name]) for name in RECORD_JSON if row[name] is not None}
        times = {name: seconds(row[name]) for name in ("last_touched", "expiration_date")}
        yield row["data_source"], record_digest({**row, **texts, **times})


def _version(message: Message) -> int:
    headers = dict(message.headers() or [])
    return int(headers["version"])


def _ignored(*_: object) -> None:
    """Nothing is committed here, and nobody asks for the state of the connections."""
