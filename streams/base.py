"""The one class to subclass when a field should be merged in another way.

Register the class under the entry-point group `mainstem.merge_strategies`; a rule of `merge.rules` names it.
`mainstem.testing.strategies` proves that it holds the laws of the merge.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple


class Claim(NamedTuple):
    """What one live record says about one field.

    A record that says nothing has no claim, and an empty string says nothing (in labels and annotations it is a
    value). None says that the field is empty: it hides what weaker records claim.
    """

    connector: str
    value: Any
    """Any JSON value; not to be altered."""
    observed_at: int = 0
    """Epoch ms."""
    is_stale: bool = False
    priority: float = 0
    """Infinite for an override."""


class Outcome(NamedTuple):
    """A field as it is published. *winners*: one connector, or the list of those that a union was made of."""

    value: Any
    winners: str | list[str]


class Strategy(ABC):
    """One way to make a field of what several records claim about it: subclass it and decide.

    There is one instance per rule, made at the start. It is asked about many fields of many entities, in any order,
    by several processes: whatever it answers follows from its options and the claims alone.
    """

    looks_at_time: ClassVar[bool] = False
    """Whether `observed_at` decides anything. An unchanged record that is only renewed is then merged again."""
    version: ClassVar[int] = 1
    """Raise it when the same claims shall have another outcome: every entity is then merged anew."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """*options*: what the rule says beside `kinds`, `path` and `strategy`. Raise ConfigError for what is no use."""
        self.options = options

    @abstractmethod
    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        """Return the field as it is published, None to leave it out.

        *claims* come by precedence, strongest first: fresh before stale, then by priority, then by connector id;
        at least one, and one of each connector at most. Never raise on a JSON value, never publish None, and name
        as winners only connectors that have a claim.
        """

    def reason(self, loser: Claim, winner: Claim | None, claims: Sequence[Claim]) -> str:
        """Say in few words why *loser* lost, for `explain`. *winner*: the strongest that won; None where nobody did."""
        del winner
        return because_of_null(loser, claims) or "by the strategy"


def visible(claims: Sequence[Claim]) -> Sequence[Claim]:
    """Return the claims above the first null."""
    for place, claim in enumerate(claims):
        if claim.value is None:
            return claims[:place]
    return claims


def because_of_null(loser: Claim, claims: Sequence[Claim]) -> str | None:
    """Return the reason of a *loser* that a null above it hides, or that says nothing but null itself."""
    if loser in visible(claims):
        return None
    first = next(claim for claim in claims if claim.value is None)
    return "says that it is empty" if loser.connector == first.connector else "hidden by null"


def by_precedence(loser: Claim, winner: Claim) -> str:
    """Return why *loser* stands below *winner*."""
    if loser.is_stale and not winner.is_stale:
        return "stale"
    return "lower priority" if loser.priority < winner.priority else "tie: connector id"
