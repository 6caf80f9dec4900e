"""What of which entities would differ. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from schemas.canonical import canonical_json
from schemas.entities import Entity
from schemas.records import Record
from streams.merge import merge
from streams.policy import Policy
from streams.published import changed_pointers, marks_of

SAMPLE_BYTES: Final = 8 * 1024 * 1024
"""Of the JSON of a whole sample; the entity that reaches it is still part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two ways to merge the same records at the same moment (epoch ms): as it is, and as somebody supposes."""

    before: Policy
    after: Policy
    without: frozenset[str] = frozenset()
    now: float


class Difference(NamedTuple):
    """One entity whose content would be another. None: it is not, or would not be, there; never both."""

    before: Entity | None
    after: Entity | None

    @property
    def told(self) -> dict[str, Any]:
        """*changed*: the pointers that would differ, `[""]` of what would come to be; *after* null: removed."""
        if self.after is None:
            return {"changed": [], "after": None}
        after = {"entity": self.after.entity, "service": self.after.service}
        if self.before is None:
            return {"changed": [""], "after": after}
        return {"changed": changed_pointers(marks_of(self.before.values), marks_of(self.after.values)), "after": after}


@dataclass(slots=True)
class Tally:
    """How many entities would differ, and the first of them."""

    limit: int
    changed: int = 0
    """Entities that would be there with another content."""
    removed: int = 0
    sample: list[dict[str, Any]] = field(default_factory=list)
    _bytes: int = 0

    def add(self, ref: str, found: Difference | None) -> None:
        if found is None:
            return
        if found.after is None:
            self.removed += 1
        else:
            self.changed += 1
        if len(self.sample) < self.limit and self._bytes < SAMPLE_BYTES:
            one = {"entity_ref": ref, **found.told}
            self._bytes += len(canonical_json(one))
            self.sample.append(one)


def difference(records: Iterable[Record], comparison: Comparison) -> Difference | None:
    """Return what would differ of the entity that *records* make; None: its content would be the same.

    Raises MergeError when a strategy breaks its contract.
    """
    held = list(records)
    before = merge(held, comparison.before, now=comparison.now)
    kept = [record for record in held if record.connector not in comparison.without]
    after = merge(kept, comparison.after, now=comparison.now)
    if before is None or after is None:
        return None if before is after else Difference(before, after)
    return None if before.content_hash == after.content_hash else Difference(before, after)
