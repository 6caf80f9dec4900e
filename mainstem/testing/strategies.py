"""Proof that a merge strategy of your own holds the laws of the merge. Needs pytest and hypothesis beside it.

    class TestNewest(StrategyLaws):
        def make(self) -> Strategy:
            return Newest({"days": 3})

Each law is a test of its own; it is looked for in random records of several connectors, fresh and stale, that claim
any JSON value, and that are merged by the whole of `streams.merge`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.canonical import canonical_json, parse_json
from schemas.changes import Change, Origin, read_change
from schemas.records import Record
from streams.base import Strategy
from streams.explain import explain
from streams.merge import merge
from streams.policy import ConnectorPolicy, Policy
from streams.rules import Rule

PATH: Final = "/spec/field"
NOW: Final = 1_700_000_000_000
HOUR: Final = 3600
CONNECTORS: Final = ("a", "b", "c", "d", "override")

_TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS
)
ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("a", "b", "$text")), inner, max_size=3)
    ),
    max_leaves=8,
)
"""Every value that a field can have, of few keys, so that records collide."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one connector says about the field, how strong its word is, and how old."""

    value: Any
    priority: int
    age_seconds: int


class StrategyLaws:
    """Subclass it in your tests, named `Test…`, and say which strategy: pytest finds the laws."""

    values: ClassVar[st.SearchStrategy[Any]] = st.none() | ANY_JSON
    """What connectors claim. Add values that your strategy treats in a way of its own; leave none out."""
    max_examples: ClassVar[int] = 100

    def make(self) -> Strategy:
        """Return a new instance of the strategy, with the options of one rule."""
        raise NotImplementedError

    def test_the_order_in_which_changes_come_does_not_matter(self) -> None:
        """Two instances are asked about the same sets of records in opposite orders, each set shuffled."""

        def law(records: list[Record], random: Random) -> None:
            sets = [records, *(random.sample(records, random.randrange(len(records) + 1)) for _ in range(2))]
            one, other = self.make(), self.make()
            first = [self._merged(each, one) for each in sets]
            second = [self._merged(random.sample(each, len(each)), other) for each in reversed(sets)]
            for merged, again in zip(first, reversed(second), strict=True):
                _same(merged, again, "the same records, come in another order, merge differently")

        self._check(law)

    def test_what_was_merged_before_does_not_matter(self) -> None:
        """One instance, asked about other records first and then several times, answers as a new one does."""
        used = self.make()

        def law(records: list[Record], random: Random) -> None:
            alone = self._merged(records)
            self._merged(random.sample(records, random.randrange(len(records) + 1)), used)
            _same(alone, self._merged(records, used), "the strategy remembers what it was asked before")
            _same(alone, self._merged(records, used), "the same records, merged twice, merge differently")

        self._check(law)

    def test_a_connector_that_is_removed_leaves_nothing_behind(self) -> None:
        used = self.make()

        def law(records: list[Record], random: Random) -> None:
            self._merged(records, used)
            gone = random.choice(records).connector
            without = [record for record in records if record.connector != gone]
            _same(self._merged(without), self._merged(without, used), "a connector that is gone still counts")

        self._check(law)

    def test_nothing_that_validation_let_through_raises(self) -> None:
        def law(records: list[Record], _random: Random) -> None:
            self._merged(records)
            explain(records, self._policy(), now=NOW)

        self._check(law)

    def test_the_records_are_not_altered(self) -> None:
        def law(records: list[Record], _random: Random) -> None:
            before = [canonical_json(record.body) for record in records]
            self._merged(records)
            assert before == [canonical_json(record.body) for record in records], "the strategy alters what is claimed"

        self._check(law)

    def test_the_field_has_a_value_exactly_when_it_has_winners_that_claim_one(self) -> None:
        def law(records: list[Record], _random: Random) -> None:
            entity = merge(records, self._policy(), now=NOW)
            if entity is None or PATH not in entity.values:
                return
            assert entity.values[PATH] is not None, "null is published: return None to leave the field out"
            canonical_json(entity.values[PATH])
            won = entity.provenance[PATH]
            claiming = {record.connector for record in records if record.body["entity"]["spec"].get("field", "") != ""}
            winners = [won] if isinstance(won, str) else won
            assert winners, "a field without a winner is published"
            assert set(winners) <= claiming, "a winner says nothing about the field"
            assert len(set(winners)) == len(winners), "a winner is named twice"

        self._check(law)

    def test_where_all_say_that_it_is_empty_it_is_left_out(self) -> None:
        def law(records: list[Record], _random: Random) -> None:
            empty = [_record(record.connector, Said(None, record.priority or 0, 0)) for record in records]
            assert self._merged(empty) is None, "a field of which every record says null is published"

        self._check(law)

    def test_the_time_of_a_record_counts_only_where_the_strategy_says_so(self) -> None:
        if self.make().looks_at_time:
            return

        def law(records: list[Record], random: Random) -> None:
            moved = [
                replace(record, observed_at=record.observed_at - random.randrange(HOUR) * 1000) for record in records
            ]
            _same(self._merged(records), self._merged(moved), "observed_at decides: set looks_at_time = True")

        self._check(law)

    # -- how a law is looked at

    def _check(self, law: Callable[[list[Record], Random], None]) -> None:
        @settings(max_examples=self.max_examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.dictionaries(
                st.sampled_from(CONNECTORS),
                st.builds(Said, self.values, st.integers(0, 2), st.sampled_from((0, 1, 2 * HOUR, 3 * HOUR))),
                min_size=1,
            ),
            st.randoms(use_true_random=False),
        )
        def examples(said: dict[str, Said], random: Random) -> None:
            law([_record(connector, each) for connector, each in said.items()], random)

        examples()

    def _policy(self, strategy: Strategy | None = None) -> Policy:
        rule = Rule(path=PATH, name="under-test", strategy=strategy or self.make())
        # Fresh for two hours, then stale: no law moves a record across.
        connector = ConnectorPolicy(ttl=2 * HOUR, grace=100 * HOUR)
        return Policy(connectors=dict.fromkeys(CONNECTORS, connector), rules=(rule,))

    def _merged(self, records: Sequence[Record], strategy: Strategy | None = None) -> bytes | None:
        """Return value and winners of the field as JSON, None when it is left out."""
        anchor = _record("z-anchor", Said("", -1, 0))
        entity = merge([*records, anchor], self._policy(strategy), now=NOW)
        if entity is None or PATH not in entity.values:
            return None
        return canonical_json([entity.values[PATH], entity.provenance[PATH]])


def _record(connector: str, said: Said) -> Record:
    entity = {"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {}}
    # As it is once it has travelled: an integer outside of 64 bits is then a double.
    entity["spec"] = {"field": parse_json(json.dumps(said.value).encode())}
    origin = Origin(connector=connector, tenant="default", is_complete=False, timestamp=NOW, id="kit/0/0")
    observed_at = NOW - said.age_seconds * 1000
    change = read_change({"entity": entity, "priority": said.priority, "observedAt": observed_at}, origin)
    assert isinstance(change, Change)
    return change.record


def _same(one: bytes | None, other: bytes | None, what: str) -> None:
    assert one == other, f"{what}: {_told(one)} and {_told(other)}"


def _told(merged: bytes | None) -> str:
    return "left out" if merged is None else merged.decode()
