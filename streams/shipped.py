"""The strategies that a rule can name, each registered as anybody's would be. What they share: `base.py`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from schemas.canonical import canonical_json
from streams.base import Claim, Outcome, Strategy, because_of_null, by_precedence, visible
from streams.strategies import coupled, union_by, union_of_texts

MAX_DEPTH: Final = 32
"""Levels of objects that are merged key by key; what lies deeper is taken whole."""


class FirstByPriority(Strategy):
    """The value of the strongest record, whole."""

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        return _won(claims[0]) if visible(claims) else None

    def reason(self, loser: Claim, winner: Claim | None, claims: Sequence[Claim]) -> str:
        if winner is None:
            return because_of_null(loser, claims) or "by the strategy"
        return by_precedence(loser, winner)


class Authoritative(Strategy):
    """What `connector` says, be it stale, and nothing when it says nothing."""

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        own = [claim for claim in claims if claim.connector == self.options["connector"]]
        return _won(own[0]) if visible(own) else None

    def reason(self, loser: Claim, winner: Claim | None, claims: Sequence[Claim]) -> str:
        del winner, claims
        return "says that it is empty" if loser.connector == self.options["connector"] else "not authoritative"


class MostRecent(Strategy):
    """What was observed last, of fresh records before stale ones; at the same moment by precedence."""

    looks_at_time = True

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        latest = _latest_first(claims)
        return _won(latest[0]) if visible(latest) else None

    def reason(self, loser: Claim, winner: Claim | None, claims: Sequence[Claim]) -> str:
        if winner is None:
            return because_of_null(loser, _latest_first(claims)) or "older"
        is_older = loser.is_stale == winner.is_stale and loser.observed_at < winner.observed_at
        return "older" if is_older else by_precedence(loser, winner)


class Union(Strategy):
    """Every element of every list once, sorted; what is no list adds nothing."""

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        return union_of_texts(_pairs(claims))

    def reason(self, loser: Claim, winner: Claim | None, claims: Sequence[Claim]) -> str:
        del winner
        return because_of_null(loser, claims) or "adds nothing"


class UnionByKey(Union):
    """Objects by the attribute `key`, each whole from the strongest record that has it, in order of precedence."""

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        return union_by(self.options["key"], _pairs(claims))


class DeepMerge(Strategy):
    """Objects key by key, at every level first by precedence; the strongest record says whether it is an object."""

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        givers: dict[str, None] = {}
        merged = _deep(_pairs(visible(claims)), givers, MAX_DEPTH)
        if merged is None:
            return None
        winners = [claim.connector for claim in claims if claim.connector in givers]
        return Outcome(merged, winners if _is_map(claims[0].value) else winners[0])

    def reason(self, loser: Claim, winner: Claim | None, claims: Sequence[Claim]) -> str:
        hidden = because_of_null(loser, claims)
        if hidden or winner is None:
            return hidden or "adds nothing"
        if _is_map(winner.value) != _is_map(loser.value):
            return "of another type"
        return by_precedence(loser, winner) if claims.index(winner) < claims.index(loser) else "adds nothing"


class _Weighing(Strategy):
    """The best of the visible values; a stale one counts only where no fresh one is."""

    worse: ClassVar[str]

    def candidates(self, claims: Sequence[Claim]) -> list[Claim]:
        shown = visible(claims)
        return [claim for claim in shown if claim.is_stale == shown[0].is_stale]

    def reason(self, loser: Claim, winner: Claim | None, claims: Sequence[Claim]) -> str:
        hidden = because_of_null(loser, claims)
        if hidden or winner is None:
            return hidden or "by the strategy"
        if loser.is_stale and not winner.is_stale:
            return "stale"
        if loser not in self.candidates(claims):
            return "of another type"
        return by_precedence(loser, winner) if self.weight(loser) == self.weight(winner) else self.worse

    def weight(self, claim: Claim) -> Any:
        return claim.value


class Min(_Weighing):
    """The least number, text (by code point) or truth value, of those of the strongest record's type."""

    worse = "greater"
    choose: ClassVar[Callable[..., Claim]] = staticmethod(min)

    def candidates(self, claims: Sequence[Claim]) -> list[Claim]:
        found = super().candidates(claims)
        of = _type(found[0].value) if found else ""
        return [claim for claim in found if _type(claim.value) == of] if of else found[:1]

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        found = self.candidates(claims)
        return _won(self.choose(found, key=self.weight)) if found else None


class Max(Min):
    """The greatest, as :class:`Min`."""

    worse = "less"
    choose = staticmethod(max)


class Rank(_Weighing):
    """The value that comes first in `values`; any other comes after them, by precedence."""

    worse = "ranks lower"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        told = [canonical_json(value) for value in options["values"]]
        self._places = {text: place for place, text in reversed([*enumerate(told)])}

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        found = self.candidates(claims)
        return _won(min(found, key=self.weight)) if found else None

    def weight(self, claim: Claim) -> int:
        return self._places.get(canonical_json(claim.value), len(self._places))


class Coupled(Strategy):
    """Fields that belong together: all from the strongest record that has any. A claim is an object of them.

    A null of a stronger record counts for its own field alone.
    """

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        objects = [(claim.connector, claim.value) for claim in claims if type(claim.value) is dict]
        members = {member for _, fields in objects for member in fields}
        group = coupled(objects, members, members, lambda value: value is not None)
        if not group:
            return None
        winner = next(iter(group.values())).winners
        return Outcome({member: outcome.value for member, outcome in group.items()}, winner)


class Drop(Strategy):
    """Nothing, whatever anybody says."""

    def decide(self, claims: Sequence[Claim]) -> Outcome | None:
        del claims
        return None

    def reason(self, loser: Claim, winner: Claim | None, claims: Sequence[Claim]) -> str:
        del loser, winner, claims
        return "dropped by a rule"


def _won(claim: Claim) -> Outcome:
    return Outcome(claim.value, claim.connector)


def _pairs(claims: Iterable[Claim]) -> list[tuple[str, Any]]:
    return [(claim.connector, claim.value) for claim in claims]


def _latest_first(claims: Iterable[Claim]) -> list[Claim]:
    return sorted(claims, key=lambda claim: (claim.is_stale, -claim.observed_at))


def _type(value: Any) -> str:
    """Return the name of a type whose values have an order, else nothing."""
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else ""


def _is_map(value: Any) -> bool:
    """Whether *value* is an object of fields: not one that stands for a text, such as `{"$text": …}`."""
    return type(value) is dict and not (len(value) == 1 and next(iter(value)).startswith("$"))


def _deep(claims: list[tuple[str, Any]], givers: dict[str, None], levels: int) -> Any:
    """Merge visible values, strongest first; None when nothing comes of them. Adds who gave any to *givers*."""
    if not claims:
        return None
    connector, strongest = claims[0]
    if not _is_map(strongest) or not levels:
        givers[connector] = None
        return strongest
    columns: dict[str, list[tuple[str, Any]]] = {}
    hidden: set[str] = set()
    for name, fields in claims:
        for key, value in fields.items() if _is_map(fields) else ():
            if value is None:
                hidden.add(key)
            elif value != "" and key not in hidden:
                columns.setdefault(key, []).append((name, value))
    merged = {key: _deep(column, givers, levels - 1) for key, column in columns.items()}
    return {key: value for key, value in merged.items() if value is not None} or None
