"""When connectors could not reach their sources: what they said about it, as intervals in which their clocks stand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from schemas.changes import Control
from schemas.records import NEVER

WORDS_KEPT: Final = 256
"""Per connector; the oldest are dropped."""

Interval = tuple[float, float]
"""Begin and end in epoch ms; the end of an outage that lasts is NEVER."""


@dataclass(frozen=True, slots=True)
class Outages:
    """What every connector said, (observed at, op) ascending. The order in which the words came plays no part."""

    words: Mapping[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)

    def heard(self, control: Control) -> "Outages":
        """Return what is known once *control* was heard; self when that is nothing new."""
        before = self.words.get(control.connector, ())
        word = (control.observed_at, control.op)
        if word in before:
            return self
        return Outages({**self.words, control.connector: tuple(sorted((*before, word))[-WORDS_KEPT:])})

    @property
    def intervals(self) -> dict[str, tuple[Interval, ...]]:
        """Per connector, its outages: ascending and apart."""
        found = {connector: _intervals(words) for connector, words in self.words.items()}
        return {connector: intervals for connector, intervals in sorted(found.items()) if intervals}

    @property
    def lasting(self) -> set[str]:
        """The connectors that cannot reach their source now."""
        return {connector for connector, intervals in self.intervals.items() if intervals[-1][1] == NEVER}

    def encode(self, version: int) -> bytes:
        return orjson.dumps({"version": version, "words": dict(self.words)})

    @classmethod
    def decode(cls, value: bytes | None) -> "Outages":
        """Read the value of the changelog's OUTAGES_KEY; None = nothing was ever said."""
        if value is None:
            return cls()
        words = orjson.loads(value)["words"]
        return cls({connector: tuple((at, op) for at, op in each) for connector, each in words.items()})


def _intervals(words: tuple[tuple[int, str], ...]) -> tuple[Interval, ...]:
    """An outage within an outage, and a recovery outside of one, say nothing."""
    found: list[Interval] = []
    began: int | None = None
    for at, op in words:
        if op == "outage" and began is None:
            began = at
        elif op == "recovered" and began is not None:
            found.append((began, at))
            began = None
    if began is not None:
        found.append((began, NEVER))
    return tuple(found)
