"""From changes to merged entities: hold, merge, and say what is to be written. Knows no Kafka.

The next file on a change's way is `streams/merge.py`; who runs this is `streams/engine.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from schemas.canonical import canonical_json, content_hash
from schemas.changes import Control
from schemas.codec import decode_records, encode_entity, encode_records
from schemas.entities import Entity, MergedEntity, Vanished
from schemas.errors import MergeError, QuarantinedError
from schemas.metrics import ProcessorMetrics
from schemas.records import NEVER, Record, Records
from schemas.refs import parse_entity_key
from schemas.topics import MAX_ENTITY_BYTES, MAX_MESSAGE_BYTES, OUTAGES_KEY, Topics
from streams.expiry import Band, band, forgotten_at, next_deadline
from streams.intake import Intake, Pending, Tally
from streams.merge import merge, values_of
from streams.partition import PartitionState, Written
from streams.policy import Policy
from streams.published import Marks, Published, changed_pointers, marks_of
from streams.table import StateWrite, Stored
from streams.transport import Output, Run
from streams.writers import schemas_at_hand

log = structlog.get_logger(__name__)

MAX_RECORDS_BYTES: Final = MAX_MESSAGE_BYTES - 64 * 1024
"""Of the state of one entity: a record of the changelog with its key and headers stays under the topic's limit."""


@dataclass(frozen=True, slots=True)
class _Next:
    """What becomes of one key: its state (a null value forgets it), and what is published of it."""

    held: Records
    value: bytes | None
    output: Output | None = None
    change: str = ""


class Processor:
    """Merges runs of changes into the table of one worker."""

    def __init__(self, topics: Topics, policy: Policy, metrics: ProcessorMetrics) -> None:
        self._topics = topics
        self._policy = policy
        self._fingerprint = policy.fingerprint.encode()
        self._looks_at_time = policy.looks_at_time
        self._metrics = metrics
        self._emissions = {change: metrics.emissions.labels(change) for change in ("created", "updated", "deleted")}
        self._intake = Intake(topics, policy)
        self._lately = Published()

    @property
    def revision(self) -> int:
        return self._policy.revision

    def fingerprint(self, state: PartitionState) -> str:
        outages = canonical_json(state.outages.intervals) if state.outages.intervals else b""
        return content_hash(self._fingerprint + outages)

    async def prepare(self, run: Run) -> None:
        """Wait until the schema of every change of *run* is known."""
        await schemas_at_hand((arrived.value for arrived in run.records), self._metrics)

    def run(self, runs: Sequence[Run], state: PartitionState, now: int) -> Written:
        """Merge *runs* of one partition: each key is loaded once, takes all its changes, and is merged once."""
        written = Written()
        tallies = [Tally(written) for _ in runs]
        changes: dict[bytes, list[Pending]] = {}
        for run, tally in zip(runs, tallies, strict=True):
            self._intake.read(run, tally, changes)
        for key, stored in state.stored(changes):
            pending = changes[key]
            if stored is None and not self._intake.belongs(key, state.partition):
                self._intake.forward(key, pending)
            else:
                self._apply(key, stored, pending, state, now, written=written)
        self._hear([control for tally in tallies for control in tally.controls], state, written)
        for run, tally in zip(runs, tallies, strict=True):
            self._count(run, tally)
        return written

    def merge_anew(self, keys: Iterable[bytes], state: PartitionState, now: int) -> Written:
        """Merge what is held of *keys*. Nothing is written of a key for which all is as it was."""
        written = Written()
        for key, stored in state.stored(keys):
            if stored is None:
                continue
            held = decode_records(stored.value)
            is_doubted = state.is_doubted(held.version)
            doubted = is_doubted and (held.is_published or self._was_asserted(held))
            try:
                after = self._merged(key, held, held.by_connector, state, now, doubted=doubted)
            except MergeError as error:
                # Too large, or a strategy failed: the entity keeps its last good state.
                log.error("processor.merge_failed", entity_ref=parse_entity_key(key)[1], reason=str(error))  # noqa: TRY400
                kept = replace(held, version=state.next_version(), merged_at=now)
                after = _Next(kept, encode_records(kept))
            if is_doubted or not self._is_as_it_was(held, stored, after, state):
                self._put(key, stored, after, state, written)
                self._count_ends(held, stored, after.held, state.policy(self._policy))
        return written

    def set_aside(self, run: Run, state: PartitionState, attempts: int) -> Written:
        """Give the records of *run* up: merging them ended the process *attempts* times."""
        del state
        tally = Tally()
        for arrived in run.records:
            error = QuarantinedError(f"the processor ended {attempts} times while it merged this record")
            self._intake.dead_letter(arrived, error, tally, attempts=attempts)
            self._metrics.quarantined.labels(arrived.topic, arrived.partition).inc()
        self._count(run, tally)
        return tally.written

    def _count(self, run: Run, tally: Tally) -> None:
        topic, partition = run.tp
        self._metrics.records.labels(topic, partition).inc(len(run.records))
        for outcome, count in tally.counts.items():
            if count:
                self._metrics.outcomes.labels(topic, partition, outcome).inc(count)
        for stage, count in tally.stages.items():
            self._metrics.dead_letters.labels(self._topics.connector_of(topic) or "", stage).inc(count)

    def _hear(self, controls: Iterable[Control], state: PartitionState, written: Written) -> None:
        """Take note of what connectors said about themselves. The rollout merges what follows from it."""
        outages = state.outages
        for control in controls:
            outages = outages.heard(control)
        if outages is not state.outages:
            state.learn(outages)
            version = state.next_version()
            written.state.append(StateWrite(OUTAGES_KEY, outages.encode(version), version))

    def _apply(
        self,
        key: bytes,
        stored: Stored | None,
        pending: list[Pending],
        state: PartitionState,
        now: int,
        *,
        written: Written,
    ) -> None:
        """Let the changes of one key count, and merge if anything came of it."""
        held = Records() if stored is None else decode_records(stored.value)
        records, outcomes = dict(held.by_connector), []
        for _, record, tally in pending:
            before = records.get(record.connector)
            counts = before is None or record.rank > before.rank
            if counts:
                records[record.connector] = record
            outcomes.append((tally, counts))
        if any(counts for _, counts in outcomes):
            doubted = self._doubts(held, pending, state)
            try:
                after = None if doubted else self._renewed(held, stored, records, state, now)
                after = after or self._merged(key, held, records, state, now, doubted=doubted)
            except MergeError as error:
                self._split(key, stored, pending, state, now, written=written, error=error)
                return
            self._put(key, stored, after, state, written)
            self._count_ends(held, stored, after.held, state.policy(self._policy))
        for tally, counts in outcomes:
            tally.counts["merged" if counts else "superseded"] += 1

    def _split(
        self,
        key: bytes,
        stored: Stored | None,
        pending: list[Pending],
        state: PartitionState,
        now: int,
        *,
        written: Written,
        error: MergeError,
    ) -> None:
        """One of the changes makes the entity too large: it goes to the dead letters, and the others are applied."""
        if len(pending) == 1:
            self._intake.dead_letter(pending[0].arrived, error, pending[0].tally)
            return
        for entry in pending:
            self._apply(key, stored, [entry], state, now, written=written)
            write = next((write for write in reversed(written.state) if write.key == key), None)
            if write is not None:
                stored = None if write.value is None else Stored(write.value, write.deadline_after)

    def _doubts(self, held: Records, pending: list[Pending], state: PartitionState) -> bool:
        """Whether something else than what is held may have been published last.

        An owner that ended between output and state leaves outputs without state. Its changes come again, but not in
        the same runs: the merge may now equal what is held, and what was published must still be replaced.
        """
        if not state.is_replaying:
            return False
        if held.is_published:
            return state.is_doubted(held.version)
        return any(
            not entry.record.is_delete and self._policy.of(entry.record.connector).asserts_existence
            for entry in pending
        )

    def _was_asserted(self, held: Records) -> bool:
        return any(self._policy.of(name).asserts_existence for name in held.by_connector)

    def _renewed(
        self, held: Records, stored: Stored | None, records: Mapping[str, Record], state: PartitionState, now: int
    ) -> _Next | None:
        """Return the renewed state when nothing but lives changed; None when a merge is needed."""
        policy = state.policy(self._policy)
        if stored is None or stored.deadline <= now or self._looks_at_time:
            return None
        renewals = [(held.by_connector.get(name), record) for name, record in records.items()]
        if not all(after is before or _renews(before, after, policy, now) for before, after in renewals):
            return None
        renewed = replace(held, version=state.next_version(), merged_at=now, by_connector=dict(records))
        return _Next(renewed, _fitting(renewed))

    def _merged(
        self,
        key: bytes,
        held: Records,
        records: Mapping[str, Record],
        state: PartitionState,
        now: int,
        *,
        doubted: bool,
    ) -> _Next:
        policy = state.policy(self._policy)
        kept = {name: record for name, record in records.items() if forgotten_at(record, policy) > now}
        entity = merge(kept.values(), policy, now=now)
        after = Records(
            version=state.next_version(),
            merged_at=now,
            content_hash=entity.content_hash if entity else "",
            view_hash=entity.view_hash if entity else "",
            by_connector=kept,
        )
        value = _fitting(after) if kept else None
        if entity is None:
            if not (held.is_published or doubted):
                return _Next(after, value)
            return _Next(after, value, _vanished(key, held, after, records, policy), "deleted")
        if held.content_hash == after.content_hash and held.view_hash == after.view_hash and not doubted:
            return _Next(after, value)
        output = self._published(key, held, after, entity, policy, doubted=doubted)
        return _Next(after, value, output, "updated" if held.is_published else "created")

    def _published(
        self, key: bytes, held: Records, after: Records, entity: Entity, policy: Policy, *, doubted: bool
    ) -> Output:
        tenant, ref = parse_entity_key(key)
        marks = marks_of(entity.values)
        merged = MergedEntity(
            tenant=tenant,
            entity_ref=ref,
            version=after.version,
            content_hash=after.content_hash,
            entity=entity.entity,
            service=entity.service,
            provenance=entity.provenance,
            change="updated" if held.is_published else "created",
            changed=self._changed(key, held, marks, policy) if held.is_published and not doubted else [""],
            stale=list(entity.stale),
            merged_at=after.merged_at,
        )
        value = encode_entity(merged, entity.texts)
        if len(value) > MAX_ENTITY_BYTES:
            raise MergeError(f"the merged entity has more than {MAX_ENTITY_BYTES} bytes")
        self._lately.remember(key, after.content_hash, marks)
        return Output(key, value)

    def _changed(self, key: bytes, held: Records, marks: Marks, policy: Policy) -> list[str]:
        """Compare with what was published."""
        known = self._lately.marks(key, held.content_hash)
        if known is None:
            before = _values_published(held, policy)
            if before is None:
                return [""]  # published under another policy: what of it changed cannot be told
            known = marks_of(before)
        return changed_pointers(known, marks)

    def _is_as_it_was(self, held: Records, stored: Stored, after: _Next, state: PartitionState) -> bool:
        return (
            after.output is None
            and after.held.by_connector.keys() == held.by_connector.keys()
            and self._deadline(after.held, state) == stored.deadline
        )

    def _put(self, key: bytes, stored: Stored | None, after: _Next, state: PartitionState, written: Written) -> None:
        if after.output is not None:
            written.add(self._topics.entities, state.partition, after.output)
            self._emissions[after.change].inc()
        if after.value is None and stored is None:
            return
        before = NEVER if stored is None else stored.deadline
        deadline = self._deadline(after.held, state) if after.value is not None else NEVER
        written.state.append(StateWrite(key, after.value, after.held.version, before, deadline))

    def _count_ends(self, held: Records, stored: Stored | None, after: Records, policy: Policy) -> None:
        """Count the connectors that no longer say anything about the entity."""
        has_aged = stored is not None and stored.deadline <= after.merged_at
        for name, record in held.by_connector.items():
            now = after.by_connector.get(name)
            if now is record and not has_aged:
                continue
            was_alive = band(record, policy, held.merged_at) is not Band.DEAD
            if was_alive and (now is None or band(now, policy, after.merged_at) is Band.DEAD):
                reason = "deleted" if now is not None and now.is_delete else "expired"
                self._metrics.ended.labels(name, reason).inc()

    def _deadline(self, held: Records, state: PartitionState) -> float:
        """When what was published may no longer be right by itself."""
        return next_deadline(held.by_connector.values(), state.policy(self._policy), held.merged_at)


def _renews(before: Record | None, after: Record, policy: Policy, now: int) -> bool:
    """Whether *after* says what *before* said, with the same weight."""
    return (
        before is not None
        and after.content_hash == before.content_hash
        and not after.is_delete
        and policy.priority(after) == policy.priority(before)
        and band(after, policy, now) is band(before, policy, now) is not Band.DEAD
    )


def _values_published(held: Records, policy: Policy) -> Mapping[str, Any] | None:
    """Return what was published by pointer: the merge of the held records at the moment of their last merge."""
    if len(held.by_connector) == 1 and not policy.rules:
        (record,) = held.by_connector.values()
        counts = policy.of(record.connector).asserts_existence and band(record, policy, held.merged_at) is not Band.DEAD
        if counts and record.content_hash == held.content_hash:
            # One record alone, which was published to the byte as it was received.
            return values_of(record.body)
    before = merge(held.by_connector.values(), policy, now=held.merged_at)
    return None if before is None or before.content_hash != held.content_hash else before.values


def _vanished(key: bytes, held: Records, after: Records, records: Mapping[str, Record], policy: Policy) -> Output:
    asserting = [
        name
        for name, record in held.by_connector.items()
        if policy.of(name).asserts_existence and band(record, policy, after.merged_at) is not Band.DEAD
    ]
    # Nothing is known of an entity that an earlier owner published and did not hold: its deletes ended it.
    ended = asserting if held.is_published else records
    tenant, ref = parse_entity_key(key)
    vanished = Vanished(
        tenant=tenant,
        entity_ref=ref,
        version=after.version,
        merged_at=after.merged_at,
        reason="deleted" if any(records[name].is_delete for name in ended) else "expired",
    )
    return Output(key, None, vanished.headers())


def _fitting(held: Records) -> bytes:
    value = encode_records(held)
    if len(value) > MAX_RECORDS_BYTES:
        raise MergeError(f"what is held about the entity has more than {MAX_RECORDS_BYTES} bytes")
    return value
