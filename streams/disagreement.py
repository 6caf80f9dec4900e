"""On which fields the live records of an entity disagree. Who wins is for :mod:`streams.explain` to say."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from schemas.canonical import canonical_json, pointer
from schemas.records import Record
from streams.base import Claim
from streams.claims import UNIONS, Place, gathered, places
from streams.merge import live_records, voices
from streams.policy import Policy
from streams.rules import Plan
from streams.shipped import DeepMerge, Drop, Union, UnionByKey

_JOINED: Final = (Union, UnionByKey, DeepMerge, Drop)
"""Strategies that take something of everybody, or nothing of anybody: whoever says something else takes no word away.
"""


class Disagreement(NamedTuple):
    """*values*: what each connector says, strongest first; None: that the field is empty."""

    pointer: str
    values: dict[str, Any]


def disagreements(records: Iterable[Record], policy: Policy, *, now: float) -> list[Disagreement]:
    """Return, by pointer, the fields of which live records say different things and one alone can count.

    None where no live record asserts that the entity exists.
    """
    live = live_records(records, policy, now)
    if len(live) <= 1 or not any(policy.of(record.connector).asserts_existence for record, _ in live):
        return []
    plan = policy.plan(live[0].record.body["entity"]["kind"].lower())
    claims = gathered((voice, dict(places(voice.body))) for voice in voices(live, policy))
    found = [_disagreement(place, said) for place, said in claims.items() if _is_of_one(place, plan)]
    return sorted(each for each in found if each is not None)


def _is_of_one(place: Place, plan: Plan) -> bool:
    rule = plan.rule_at(place)
    return place not in UNIONS if rule is None else not isinstance(rule.strategy, _JOINED)


def _disagreement(place: Place, claims: list[Claim]) -> Disagreement | None:
    # Python holds 1, 1.0 and true for equal.
    if len({canonical_json(claim.value) for claim in claims}) <= 1:
        return None
    return Disagreement(pointer(*place), {claim.connector: claim.value for claim in claims})
