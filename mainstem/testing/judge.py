"""Compares what a target holds with what was carried to it, after every write."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from schemas.codec import decode_records
from schemas.entities import MergedEntity, Vanished
from schemas.errors import DecodeError
from sinks.base import Delivery
from sinks.entities import read_entity


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What the target knows of one entity, as one version left it."""

    entity_ref: str
    version: int
    content: Any
    """None = gone. An entity that is gone may also be left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRecord:
    """What the target knows of one connector's record about one entity. *version*: the change's own."""

    entity_ref: str
    connector: str
    version: int


def shown(entity: MergedEntity) -> Any:
    return entity.entity


class Judge:
    """Knows every version that was carried so far, and looks at the target."""

    def __init__(
        self,
        applied: Callable[[], Sequence[Applied]],
        expected: Callable[[MergedEntity], Any],
        topic: str,
        *,
        keeps_history: bool,
        records: "RecordJudge | None" = None,
    ) -> None:
        self._applied = applied
        self._expected = expected
        self._topic = topic
        self._keeps_history = keeps_history
        self._records = records
        self._carried: dict[str, dict[int, Any]] = {}

    def carried(self, batch: Iterable[Delivery]) -> None:
        """*batch* was written: the target must show it now. What nobody can read is no version of anything."""
        for delivery in batch:
            if delivery.topic == self._topic:
                with suppress(DecodeError):
                    self._note(read_entity(delivery))
        if self._records is not None:
            self._records.carried(batch)
        self.look()

    def look(self) -> None:
        """Raise AssertionError unless the target holds what was carried, each version once and in order."""
        if self._keeps_history:
            self._look_at_history(self._applied())
        else:
            self._look_at_state(self._applied())
        if self._records is not None:
            self._records.look()

    def is_complete(self, content: Mapping[int, MergedEntity | Vanished]) -> None:
        """Raise AssertionError unless every version of *content* was carried; then look."""
        missed = content.keys() - {version for versions in self._carried.values() for version in versions}
        assert not missed, (
            f"{len(missed)} versions were never delivered: stored_positions ran ahead of what was written"
        )
        self.look()

    def _note(self, told: MergedEntity | Vanished) -> None:
        content = None if isinstance(told, Vanished) else self._expected(told)
        self._carried.setdefault(told.entity_ref, {})[told.version] = content

    def _look_at_state(self, applied: Sequence[Applied]) -> None:
        held = {found.entity_ref: found for found in applied}
        assert len(held) == len(applied), "the target holds an entity twice"
        strange = sorted(held.keys() - self._carried.keys())
        assert not strange, f"the target holds entities that were never carried: {strange}"
        for ref, versions in self._carried.items():
            newest = max(versions)
            found = held.get(ref)
            if versions[newest] is None:
                assert found is None or found.content is None, (
                    f"{ref} is gone since version {newest}, and the target shows it at version {found.version}"
                )
                continue
            assert found is not None, f"{ref} has version {newest}, and the target does not hold it"
            assert found.version == newest, f"{ref} has version {newest}, and the target shows {found.version}"
            assert found.content == versions[newest], f"{ref}: the target shows another content than version {newest}"

    def _look_at_history(self, applied: Sequence[Applied]) -> None:
        told: dict[str, dict[int, Any]] = {}
        for found in applied:
            before = told.setdefault(found.entity_ref, {})
            if found.version in before:
                assert before[found.version] == found.content, f"{found.entity_ref}: a repeat of one version differs"
                continue
            assert all(version < found.version for version in before), (
                f"{found.entity_ref}: version {found.version} was told after {max(before)}"
            )
            before[found.version] = found.content
        for ref, versions in self._carried.items():
            missing = sorted(versions.keys() - told.get(ref, {}).keys())
            assert not missing, f"{ref}: the versions {missing} were carried and never told"
            assert told[ref] == versions, f"{ref}: a version was told with another content, or was never carried"


class RecordJudge:
    """Knows the newest state of records that was carried for each entity, and looks at what the target holds.

    Not while old states are read again: what was forgotten is not remembered, and may be there until its end is
    read again as well.
    """

    def __init__(self, held: Callable[[], Sequence[HeldRecord]], topic: str) -> None:
        self._held = held
        self._topic = topic
        self._carried: dict[str, tuple[int, frozenset[HeldRecord]]] = {}
        self._last: dict[int, int] = {}
        self._ends: dict[int, int] = {}

    def carried(self, batch: Iterable[Delivery]) -> None:
        for delivery in batch:
            if delivery.topic == self._topic:
                ref = (delivery.key or b"").decode()
                state = _state(ref, delivery)
                self._carried[ref] = max(state, self._carried.get(ref, state), key=lambda each: each[0])
                self._last[delivery.partition] = delivery.offset
                self._ends[delivery.partition] = max(delivery.offset, self._ends.get(delivery.partition, 0))

    def look(self) -> None:
        """Raise AssertionError unless the target holds the records of the newest states, and no others."""
        if self._last != self._ends:
            return
        held = self._held()
        wanted = {record for _, records in self._carried.values() for record in records}
        assert len(set(held)) == len(held), "the target holds a record twice"
        missing = sorted({each.entity_ref for each in wanted - set(held)})
        assert not missing, f"the newest records of {missing} were carried, and the target does not hold them"
        strange = sorted({each.entity_ref for each in set(held) - wanted})
        assert not strange, f"the target holds records of {strange} that are forgotten, older, or were never carried"


def _state(ref: str, delivery: Delivery) -> tuple[int, frozenset[HeldRecord]]:
    if delivery.value is None:
        return int(dict(delivery.headers)["version"] or b""), frozenset()
    found = decode_records(delivery.value)
    records = (
        HeldRecord(entity_ref=ref, connector=name, version=record.version)
        for name, record in found.by_connector.items()
    )
    return found.version, frozenset(records)
