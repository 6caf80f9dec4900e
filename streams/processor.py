"""From raw changes to merged entities: decode, hold, merge, and say what is to be written. Knows no Kafka.

The next file on a change's way is `streams/merge.py`; who runs this is `streams/engine.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Protocol

import structlog
from aiokafka.partitioner import murmur2

from schemas.changes import Change, Control, Origin, read_change
from schemas.codec import decode_change, decode_records, encode_entity, encode_records, records_version
from schemas.dead_letters import dead_letter_headers
from schemas.entities import Entity, MergedEntity, Vanished
from schemas.errors import MergeError, Skippable
from schemas.metrics import ProcessorMetrics
from schemas.records import NEVER, Record, Records
from schemas.refs import entity_key, parse_entity_key
from schemas.topics import FORWARDED_FROM, MAX_ENTITY_BYTES, MAX_MESSAGE_BYTES, Topics
from streams.engine import PartitionState, Written
from streams.expiry import Band, band, forgotten_at, next_deadline
from streams.merge import changed_pointers, merge
from streams.policy import Policy
from streams.table import StateWrite
from streams.transport import Output, Run

log = structlog.get_logger(__name__)

MAX_RECORDS_BYTES: Final = MAX_MESSAGE_BYTES - 64 * 1024
"""Of the state of one entity: a record of the changelog with its key and headers stays under the topic's limit."""


class Arrived(Protocol):
    """A record as the consumer hands it over."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class _Pending:
    """A change that was understood, with the record that carried it."""

    arrived: Arrived
    record: Record


@dataclass(frozen=True, slots=True)
class _Next:
    """What becomes of one key: its state, and what is published of it."""

    held: Records
    output: Output | None
    change: str | None
    value: bytes | None


class Processor:
    """Merges runs of changes into the table of one worker."""

    def __init__(self, topics: Topics, policy: Policy, metrics: ProcessorMetrics) -> None:
        self._topics = topics
        self._policy = policy
        self._metrics = metrics

    def run(self, run: Run, state: PartitionState, now: int) -> Written:
        """Merge one run: each key is loaded once, takes all its changes, and is merged once."""
        written = Written()
        counts = dict.fromkeys(("merged", "superseded", "forwarded", "dead_lettered", "control"), 0)
        for key, pending in self._read(run, written, counts).items():
            raw = state.get(key)
            if raw is None and _partition_of(key, self._topics.partitions) != state.partition:
                self._forward(key, pending, written, counts)
                continue
            held = Records() if raw is None else decode_records(raw)
            self._apply(key, held, pending, state, now, written, counts)
        topic, partition = run.tp
        self._metrics.records.labels(topic, partition).inc(len(run.records))
        for outcome, count in counts.items():
            if count:
                self._metrics.outcomes.labels(topic, partition, outcome).inc(count)
        return written

    def due(self, keys: Iterable[bytes], state: PartitionState, now: int) -> Written:
        """Merge *keys* anew. A key whose deadline has moved on meanwhile is left alone."""
        written = Written()
        for key in keys:
            raw = state.get(key)
            if raw is None:
                continue
            held = decode_records(raw)
            if self._deadline(held) > now:
                continue
            try:
                doubted = held.is_published and held.version < state.first_version
                after = self._merged(key, held, held.by_connector, state.next_version(), now, doubted=doubted)
            except MergeError as error:
                # What remains is larger than what was there: the entity keeps its last good state.
                log.error("processor.entity_too_large", entity_ref=parse_entity_key(key)[1], reason=str(error))  # noqa: TRY400
                kept = replace(held, version=state.version, merged_at=now)
                after = _Next(kept, None, None, encode_records(kept))
            self._put(key, held, after, written)
        return written

    def inspect(self, value: bytes) -> tuple[int, float]:
        return records_version(value), self._deadline(decode_records(value))

    # -- reading

    def _read(self, run: Run, written: Written, counts: dict[str, int]) -> dict[bytes, list[_Pending]]:
        """Return the changes of *run* by entity key, each key's in order. The rest is already dealt with."""
        connector = self._topics.connector_of(run.tp.topic) or ""
        policy = self._policy.of(connector)
        pending: dict[bytes, list[_Pending]] = {}
        for arrived in run.records:
            headers = dict(arrived.headers)
            origin = Origin(
                connector=connector,
                tenant=policy.tenant,
                is_complete=policy.is_complete,
                timestamp=arrived.timestamp,
                id=_origin(arrived, headers),
            )
            try:
                change = read_change(decode_change(arrived.value), origin)
            except Skippable as error:
                self._dead_letter(arrived, error, written, counts)
                continue
            if isinstance(change, Control):
                counts["control"] += 1
                continue
            self._sort_in(change, policy.tenant, arrived, pending, written, counts)
        return pending

    def _sort_in(  # noqa: PLR0917
        self,
        change: Change,
        tenant: str,
        arrived: Arrived,
        pending: dict[bytes, list[_Pending]],
        written: Written,
        counts: dict[str, int],
    ) -> None:
        key = entity_key(tenant, change.ref)
        entry = _Pending(arrived, change.record)
        if arrived.key == key:
            pending.setdefault(key, []).append(entry)
        else:
            self._forward(key, [entry], written, counts)

    def _forward(self, key: bytes, pending: list[_Pending], written: Written, counts: dict[str, int]) -> None:
        """Send changes on under the right key to the right partition, as they came: never merged where they fell."""
        partition = _partition_of(key, self._topics.partitions)
        for entry in pending:
            arrived = entry.arrived
            headers = [(name, value) for name, value in arrived.headers if name != FORWARDED_FROM]
            headers.append((FORWARDED_FROM, _origin(arrived, dict(arrived.headers)).encode()))
            written.add(arrived.topic, partition, Output(key, arrived.value, headers, arrived.timestamp))
        counts["forwarded"] += len(pending)

    def _dead_letter(self, arrived: Arrived, error: Skippable, written: Written, counts: dict[str, int]) -> None:
        headers = dead_letter_headers(
            error,
            stage=error.stage,
            origin=_origin(arrived, dict(arrived.headers)),
            timestamp=arrived.timestamp,
            attempts=1,
        )
        written.add(
            self._topics.dead_letters,
            arrived.partition,
            Output(arrived.key, arrived.value, [*arrived.headers, *headers]),
        )
        counts["dead_lettered"] += 1
        log.warning(
            "change.dead_lettered",
            topic=arrived.topic,
            partition=arrived.partition,
            offset=arrived.offset,
            stage=error.stage,
            reason=str(error),
        )

    # -- merging

    def _apply(  # noqa: PLR0917
        self,
        key: bytes,
        held: Records,
        pending: list[_Pending],
        state: PartitionState,
        now: int,
        written: Written,
        counts: dict[str, int],
    ) -> None:
        records, won = dict(held.by_connector), 0
        for entry in pending:
            record = entry.record
            before = records.get(record.connector)
            if before is None or record.rank > before.rank:
                records[record.connector] = record
                won += 1
        if not won:
            counts["superseded"] += len(pending)
            return
        doubted = self._doubts(held, pending, state)
        try:
            after = (None if doubted else self._renewed(held, records, state, now)) or self._merged(
                key, held, records, state.next_version(), now, doubted=doubted
            )
        except MergeError as error:
            self._refuse(key, held, pending, state, now, written, counts, error)
            return
        counts["merged"] += won
        counts["superseded"] += len(pending) - won
        self._put(key, held, after, written)

    def _refuse(  # noqa: PLR0917
        self,
        key: bytes,
        held: Records,
        pending: list[_Pending],
        state: PartitionState,
        now: int,
        written: Written,
        counts: dict[str, int],
        error: MergeError,
    ) -> None:
        """One of the changes makes the entity too large: it goes to the dead letters, and the others are applied."""
        if len(pending) == 1:
            self._dead_letter(pending[0].arrived, error, written, counts)
            return
        for entry in pending:
            self._apply(key, held, [entry], state, now, written, counts)
            newest = [write.value for write in written.state if write.key == key]
            held = decode_records(newest[-1]) if newest and newest[-1] is not None else held

    def _doubts(self, held: Records, pending: list[_Pending], state: PartitionState) -> bool:
        """Whether something else than what is held may have been published last.

        An owner that ended between output and state leaves outputs without state. Its changes come again, but not in
        the same runs: the merge may now equal what is held, and what was published must still be replaced.
        """
        if not state.is_replaying:
            return False
        if held.is_published:
            return held.version < state.first_version
        return any(
            not entry.record.is_delete and self._policy.of(entry.record.connector).asserts_existence
            for entry in pending
        )

    def _renewed(self, held: Records, records: Mapping[str, Record], state: PartitionState, now: int) -> _Next | None:
        """Return the renewed state when nothing but lives changed; None when a merge is needed."""
        if not held.by_connector or records.keys() != held.by_connector.keys() or self._deadline(held) <= now:
            return None
        for connector, record in records.items():
            before = held.by_connector[connector]
            if record is not before and not (
                record.content_hash == before.content_hash
                and not record.is_delete
                and self._policy.priority(record) == self._policy.priority(before)
                and band(record, self._policy, now) is band(before, self._policy, now)
                and band(record, self._policy, now) is not Band.DEAD
            ):
                return None
        renewed = replace(held, version=state.next_version(), merged_at=now, by_connector=dict(records))
        return _Next(renewed, None, None, _fitting(renewed))

    def _merged(
        self, key: bytes, held: Records, records: Mapping[str, Record], version: int, now: int, *, doubted: bool
    ) -> _Next:
        kept = {name: record for name, record in records.items() if forgotten_at(record, self._policy) > now}
        entity = merge(kept.values(), self._policy, now=now)
        after = Records(
            version=version,
            merged_at=now,
            content_hash=entity.content_hash if entity else "",
            view_hash=entity.view_hash if entity else "",
            by_connector=kept,
        )
        output, change = self._published(key, held, after, entity, records, doubted=doubted)
        return _Next(after, output, change, _fitting(after) if kept else None)

    def _published(
        self,
        key: bytes,
        held: Records,
        after: Records,
        entity: Entity | None,
        records: Mapping[str, Record],
        *,
        doubted: bool,
    ) -> tuple[Output | None, str | None]:
        if entity is None:
            gone = held.is_published or doubted
            return (self._vanished(key, held, after, records), "deleted") if gone else (None, None)
        if held.content_hash == after.content_hash and held.view_hash == after.view_hash and not doubted:
            return None, None
        tenant, ref = parse_entity_key(key)
        merged = MergedEntity(
            tenant=tenant,
            entity_ref=ref,
            version=after.version,
            content_hash=after.content_hash,
            entity=entity.entity,
            service=entity.service,
            provenance=entity.provenance,
            change="updated" if held.is_published else "created",
            changed=self._changed(held, entity) if held.is_published and not doubted else [""],
            stale=list(entity.stale),
            merged_at=after.merged_at,
        )
        value = encode_entity(merged)
        if len(value) > MAX_ENTITY_BYTES:
            raise MergeError(f"the merged entity has more than {MAX_ENTITY_BYTES} bytes")
        return Output(key, value), merged.change

    def _changed(self, held: Records, entity: Entity) -> list[str]:
        """Compare with what was published: the merge of the held records at the moment of their last merge."""
        if held.content_hash == entity.content_hash:
            return []
        before = merge(held.by_connector.values(), self._policy, now=held.merged_at)
        return changed_pointers(before.values if before else {}, entity.values)

    def _vanished(self, key: bytes, held: Records, after: Records, records: Mapping[str, Record]) -> Output:
        asserting = [
            name
            for name, record in held.by_connector.items()
            if self._policy.of(name).asserts_existence and band(record, self._policy, after.merged_at) is not Band.DEAD
        ]
        deleted = any(records[name].is_delete for name in asserting or records)
        tenant, ref = parse_entity_key(key)
        vanished = Vanished(
            tenant=tenant,
            entity_ref=ref,
            version=after.version,
            merged_at=after.merged_at,
            reason="deleted" if deleted else "expired",
        )
        return Output(key, None, vanished.headers())

    def _put(self, key: bytes, held: Records, after: _Next, written: Written) -> None:
        if after.output is not None:
            written.add(self._topics.entities, _partition_of(key, self._topics.partitions), after.output)
            self._metrics.emissions.labels(after.change).inc()
        if after.value is None and not held.by_connector:
            return
        deadline = self._deadline(after.held) if after.value is not None else NEVER
        written.state.append(StateWrite(key, after.value, after.held.version, self._deadline(held), deadline))

    def _deadline(self, held: Records) -> float:
        """When what was published may no longer be right by itself."""
        return next_deadline(held.by_connector.values(), self._policy, held.merged_at)


def _fitting(held: Records) -> bytes:
    value = encode_records(held)
    if len(value) > MAX_RECORDS_BYTES:
        raise MergeError(f"what is held about the entity has more than {MAX_RECORDS_BYTES} bytes")
    return value


def _origin(arrived: Arrived, headers: Mapping[str, bytes]) -> str:
    """Return `topic/partition/offset` of the record that first carried the change."""
    forwarded = headers.get(FORWARDED_FROM)
    return forwarded.decode() if forwarded else f"{arrived.topic}/{arrived.partition}/{arrived.offset}"


@lru_cache(maxsize=65_536)
def _partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner gives *key*."""
    hashed: Any = murmur2(key)
    return int((hashed & 0x7FFFFFFF) % partitions)
