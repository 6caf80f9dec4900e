"""What lies beneath overrides, and how they stand to it. Pure: the clock is an argument."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from mainstem.overrides.fields import change_of, identity_of
from schemas.canonical import canonical_json
from schemas.entities import Entity
from schemas.records import Record
from sources.publisher import Draft, checked
from streams.explain import explain
from streams.merge import merge
from streams.policy import OVERRIDE, Policy

State = Literal["active", "redundant", "drifted", "orphaned"]
STATES: Final = ("active", "redundant", "drifted", "orphaned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What somebody says of one field. *then* and *seen*: the value beneath when it was set, and looked at last."""

    field: str
    value: Any
    reason: str
    author: str
    expires_at: datetime | None
    then: Any = None
    seen: Any = None

    def is_over(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What everybody but people says of an entity, merged at *now* (epoch ms)."""

    records: Sequence[Record]
    policy: Policy
    now: float
    beneath: Entity | None
    """None: nobody else vouches for it."""

    @classmethod
    def of(cls, records: Iterable[Record], policy: Policy, *, now: float) -> "Ground":
        """Raises MergeError as :func:`streams.merge.merge` does."""
        others = [each for each in records if each.connector != OVERRIDE]
        return cls(records=others, policy=policy, now=now, beneath=merge(others, policy, now=now))

    @property
    def identity(self) -> dict[str, str] | None:
        return None if self.beneath is None else identity_of(self.beneath.entity)

    def value(self, field: str) -> Any:
        """Return the value beneath; None where there is none."""
        return None if self.beneath is None else self.beneath.values.get(field)

    def above(self, record: Record | None) -> Entity | None:
        """Return the entity with *record*, which holds overrides."""
        return merge([*self.records, *([] if record is None else [record])], self.policy, now=self.now)

    def states(self, overrides: Iterable[Override], record: Record | None) -> dict[str, State]:
        """Return how each of *overrides*, which *record* holds, stands."""
        above = self.above(record)
        return {each.field: self._state(each, above) for each in overrides}

    def _state(self, each: Override, above: Entity | None) -> State:
        if self.beneath is None or above is None:
            return "orphaned"
        beneath = self.value(each.field)
        if is_same(above.values.get(each.field), beneath):
            return "redundant"
        return "active" if is_same(beneath, each.then) else "drifted"

    def objection(self, before: Record | None, after: Record, values: Mapping[str, Any], field: str) -> str | None:
        """Return why the merge would not do what an override of *field* asks for; None where it would.

        *before* and *after*: all overrides without and with it; *values*: those of *after*, by field.
        """
        was, found = self.above(before), explain([*self.records, after], self.policy, now=self.now)
        assert was is not None
        assert found.entity is not None
        won = found.entity.provenance.get(field, [])
        holds = field not in found.entity.values if values[field] is None else won == OVERRIDE or OVERRIDE in list(won)
        if not holds:
            losers = [loser for leaf in found.at(field) for loser in leaf.losers if loser.connector == OVERRIDE]
            why = losers[0].reason if losers else "an empty value says nothing; null leaves the field out"
            return f"the merge would not take it: {why}"
        lost = sorted(was.values.keys() - found.entity.values.keys() - values.keys())
        return f"it would take {', '.join(lost)} away, which come from one record with it" if lost else None


def drawn(ref: str, tenant: str, identity: Mapping[str, str], values: Mapping[str, Any], version: int = 0) -> "Drawn":
    """Return *values* as the change that says them. Raises ValidationError or DecodeError, as the processor would."""
    change = {**change_of(ref, identity, values), "tenant": tenant, "version": version}
    draft, record = checked(change, OVERRIDE, tenant=tenant)
    return Drawn(draft=draft, record=record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A set of overrides as it is sent, and as it will be read."""

    draft: Draft
    record: Record


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: to Python, 1 and true are."""
    return canonical_json(one) == canonical_json(other)
