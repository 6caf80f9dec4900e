"""Rules: which fields of which kinds are merged in another way than the table of fields has it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.canonical import canonical_json, parse_json, pointer
from schemas.errors import MergeError
from streams import shipped
from streams.base import Claim, Outcome, Strategy
from streams.claims import IDENTITY, UNIONS, Place, Voice, gathered, is_map, places, without
from streams.shipped import Coupled, Union


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

    @property
    def paths(self) -> tuple[str, ...]:
        """The pointers at which it stands: its path and, of a coupled group, those of the other members."""
        others = self.strategy.options.get("pointers", ()) if isinstance(self.strategy, Coupled) else ()
        return tuple(dict.fromkeys((self.path, *others)))


class Case(NamedTuple):
    """What one rule decides at once: a field or map key with the claims to it, or a coupled group with objects."""

    rule: Rule
    place: Place
    claims: list[Claim]

    def outcomes(self) -> dict[Place, Outcome]:
        """Raises MergeError, so that what breaks a strategy is set aside and stops nothing else."""
        strategy = self.rule.strategy
        try:
            outcome = strategy.decide(self.claims)
            if outcome is None:
                return {}
            if type(strategy).__module__ != shipped.__name__:
                _check(outcome)
            if isinstance(strategy, Coupled):
                return {tokens(at): Outcome(value, outcome.winners) for at, value in outcome.value.items()}
        except Exception as error:
            at = pointer(*self.place)
            raise MergeError(f"the strategy {self.rule.name} of {at} failed: {type(error).__name__}") from error
        return {self.place: outcome}


class Plan:
    """The rules that count for one kind."""

    def __init__(self, rules: Iterable[Rule], kind: str) -> None:
        mine = [rule for rule in rules if rule.kinds is None or kind in rule.kinds]
        # A rule that names the kind counts over one for every kind.
        mine.sort(key=lambda rule: rule.kinds is not None)
        self._rules = {tokens(path): rule for rule in mine for path in rule.paths}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def rule_at(self, place: Place) -> Rule | None:
        """Return the rule whose path is the longest that leads to *place*; None where the table of fields counts.

        No rule makes an entity's identity, and `union` is what the table has for its own unions.
        """
        if place in IDENTITY:
            return None
        lengths = range(len(place), 0, -1)
        rule = next((self._rules[place[:length]] for length in lengths if place[:length] in self._rules), None)
        return None if rule and place in UNIONS and type(rule.strategy) is Union else rule

    def split(self, voices: Sequence[Voice]) -> tuple[list[tuple[str, Mapping[str, Any]]], list[Case]]:
        """Return, per voice, its connector and what of its body no rule is about; and what the rules are about."""
        bodies, said = [], []
        for voice in voices:
            told = dict(places(voice.body))
            ruled = {place: value for place, value in told.items() if is_map(place) or self.rule_at(place)}
            taken = [place for place in ruled if not is_map(place)]
            bodies.append((voice.claim.connector, without(voice.body, taken) if taken else voice.body))
            said.append((voice, ruled))
        return bodies, list(self._cases(gathered(said)))

    def _cases(self, claims: Mapping[Place, list[Claim]]) -> Iterable[Case]:
        groups: dict[Place, tuple[Rule, dict[Place, list[Claim]]]] = {}
        for place, of in claims.items():
            rule = self.rule_at(place)
            if rule is not None and isinstance(rule.strategy, Coupled):
                groups.setdefault(tokens(rule.path), (rule, {}))[1][place] = of
            elif rule is not None:
                yield Case(rule, place, of)
        for first, (rule, members) in groups.items():
            yield Case(rule, first, objects(members))


def _check(outcome: Outcome) -> None:
    """Raise now what a third party's outcome would else raise while the merged entity is written."""
    parse_json(canonical_json(outcome.value))
    winners: Any = outcome.winners
    if type(winners) is list and all(type(won) is str for won in winners):
        return
    if type(winners) is not str:
        raise TypeError("winners are one connector, or a list of them")


def objects(members: Mapping[Place, Sequence[Claim]]) -> list[Claim]:
    """Return one claim per connector, an object of all that it claims of a coupled group; strongest first."""
    found: dict[str, Claim] = {}
    for place, claims in members.items():
        for claim in claims:
            whole = found.setdefault(claim.connector, claim._replace(value={}))
            whole.value[pointer(*place)] = claim.value
    return sorted(found.values(), key=lambda claim: (claim.is_stale, -claim.priority, claim.connector))


def tokens(path: str) -> Place:
    """Return the tokens of a JSON pointer."""
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:])
