"""Rules: which fields of which kinds are merged in another way than the table of fields has it."""

from dataclasses import dataclass
from typing import Any

from streams.base import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """*strategy* makes every field and map key at or below *path*, unless a longer path matches it."""

    path: str
    """A JSON pointer as in `provenance`."""
    name: str
    """Under which the strategy is installed."""
    strategy: Strategy
    kinds: frozenset[str] | None = None
    """Lower-cased; None = every kind."""

    @property
    def identity(self) -> list[Any]:
        """What tells this rule from another, as JSON."""
        kinds = None if self.kinds is None else sorted(self.kinds)
        return [self.path, kinds, self.name, self.strategy.version, dict(self.strategy.options)]
