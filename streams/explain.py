"""Why an entity is as it is: per field who won, who lost, and for what reason. Nothing here decides a field."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from schemas.canonical import pointer
from schemas.entities import Entity
from schemas.records import Record
from streams.base import Claim, Strategy, because_of_null, by_precedence
from streams.claims import UNIONS, Place, gathered, places
from streams.expiry import Band, band
from streams.merge import DEFINITION, LOCATIONS, live_records, merge, voices
from streams.policy import Policy
from streams.rules import Plan
from streams.shipped import Coupled, FirstByPriority, Union

_DEFINITION: Final = tuple(("spec", name) for name in DEFINITION)
_LOCATIONS: Final = tuple(("metadata", "annotations", name) for name in LOCATIONS)
_FIRST: Final = FirstByPriority({})
_UNION: Final = Union({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One connector's record at the moment that is explained."""

    connector: str
    life: Literal["fresh", "stale", "dead", "deleted"]
    priority: float
    observed_at: int
    asserts_existence: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Loser:
    """A live record's claim that did not make the field. None: it said that the field is empty."""

    connector: str
    value: Any
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One field or map key that any live record speaks of."""

    pointer: str
    strategy: str
    """As a rule names it."""
    value: Any
    """None: the field is left out."""
    winners: tuple[str, ...]
    losers: tuple[Loser, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """*entity* None: no live record asserts that it exists, and there are no leaves."""

    entity: Entity | None
    standings: tuple[Standing, ...]
    leaves: tuple[Leaf, ...]

    def at(self, path: str) -> tuple[Leaf, ...]:
        """Return the leaves at and below the JSON pointer *path*."""
        return tuple(leaf for leaf in self.leaves if f"{leaf.pointer}/".startswith(f"{path}/"))


def explain(records: Iterable[Record], policy: Policy, *, now: float) -> Explanation:
    """Explain the merge of the same arguments: winners and values are those of :func:`streams.merge.merge`.

    Raises MergeError as it does.
    """
    held = list(records)
    entity = merge(held, policy, now=now)
    standings = tuple(sorted((_standing(record, policy, now) for record in held), key=lambda one: one.connector))
    if entity is None:
        return Explanation(entity=None, standings=standings, leaves=())
    speakers = voices(live_records(held, policy, now), policy)
    claims = gathered((voice, dict(places(voice.body))) for voice in speakers)
    judge = _Judge(policy.plan(entity.entity["kind"].lower()), entity, claims)
    leaves = sorted((judge.leaf(place) for place in claims), key=lambda leaf: leaf.pointer)
    return Explanation(entity=entity, standings=standings, leaves=tuple(leaves))


class _Judge:
    """Tells the losers of one merge from its winners."""

    def __init__(self, plan: Plan, entity: Entity, claims: Mapping[Place, Sequence[Claim]]) -> None:
        self._plan = plan
        self._entity = entity
        self._claims = claims
        self._is_api = entity.entity["kind"].lower() == "api"

    def leaf(self, place: Place) -> Leaf:
        at, claims = pointer(*place), self._claims[place]
        won = self._entity.provenance.get(at, [])
        winners = (won,) if isinstance(won, str) else tuple(won)
        name, strategy = self._strategy(place)
        group = self._group(place, strategy)
        winner = next((claim for claim in claims if claim.connector in winners), None)
        losers = [claim for claim in claims if claim.connector not in winners]
        reasons = [
            self._of_group(loser, claims, group) if group else strategy.reason(loser, winner, claims)
            for loser in losers
        ]
        return Leaf(
            pointer=at,
            strategy="coupled" if group else name,
            value=self._entity.values.get(at),
            winners=winners,
            losers=tuple(
                Loser(connector=loser.connector, value=loser.value, reason=reason)
                for loser, reason in zip(losers, reasons, strict=True)
            ),
        )

    def _strategy(self, place: Place) -> tuple[str, Strategy]:
        rule = self._plan.rule_at(place)
        if rule is not None:
            return rule.name, rule.strategy
        return ("union", _UNION) if place in UNIONS else ("first_by_priority", _FIRST)

    def _group(self, place: Place, strategy: Strategy) -> tuple[Place, ...]:
        """Return the places of which any leads the coupled group that *place* belongs to; none outside of groups."""
        if isinstance(strategy, Coupled):
            return tuple(other for other in self._claims if self._strategy(other)[1] is strategy)
        if self._is_api and place in _DEFINITION and not any(self._plan.rule_at(other) for other in _DEFINITION):
            return _DEFINITION[:1]
        if place in _LOCATIONS and not self._plan.rule_at(place):
            return tuple(other for other in _LOCATIONS if not self._plan.rule_at(other))
        return ()

    def _of_group(self, loser: Claim, claims: Sequence[Claim], leaders: tuple[Place, ...]) -> str:
        leading = [claim for place in leaders for claim in self._claims.get(place, ()) if claim.value is not None]
        leader = min(leading, key=_precedence, default=None)
        if leader is not None and _precedence(leader) < _precedence(loser):
            return by_precedence(loser, leader)
        return because_of_null(loser, claims) or f"comes with {pointer(*leaders[0])} alone"


def _precedence(claim: Claim) -> tuple[bool, float, str]:
    return claim.is_stale, -claim.priority, claim.connector


def _standing(record: Record, policy: Policy, now: float) -> Standing:
    lives: dict[Band, Literal["fresh", "stale", "dead"]] = {
        Band.FRESH: "fresh",
        Band.STALE: "stale",
        Band.DEAD: "dead",
    }
    return Standing(
        connector=record.connector,
        life="deleted" if record.is_delete else lives[band(record, policy, now)],
        priority=policy.priority(record),
        observed_at=record.observed_at,
        asserts_existence=policy.of(record.connector).asserts_existence,
    )
