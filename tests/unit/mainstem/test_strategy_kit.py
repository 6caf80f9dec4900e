"""The kit for strategies: every strategy that a rule can name passes it, and each kind of mistake is caught by it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from mainstem.testing.strategies import ANY_JSON, StrategyLaws
from schemas import plugins
from schemas.errors import MergeError
from streams import registry
from streams.base import Outcome, Strategy, visible

settings.register_profile("repeated", derandomize=True)


@pytest.fixture(autouse=True)
def _the_same_examples_every_time():
    before = settings.get_current_profile_name()
    settings.load_profile("repeated")
    yield
    settings.load_profile(before)


OPTIONS = {
    "authoritative": {"connector": "b"},
    "union_by_key": {"key": "a"},
    "rank": {"values": ["p", 1, True, {"a": None}]},
    "coupled": {"pointers": ["/spec/other"]},
}
LISTED = st.lists(ANY_JSON | st.sampled_from(("p", 1, 1.0, True)), max_size=3)
WEIGHED = st.sampled_from(("p", "q", "", 1, 1.0, 2, True, False, {"a": None}))
NESTED = st.dictionaries(
    st.sampled_from("ab"), st.dictionaries(st.sampled_from("ab"), ANY_JSON, max_size=2), max_size=2
)


@pytest.mark.parametrize("name", plugins.installed(registry.GROUP))
class TestShipped(StrategyLaws):
    values = st.none() | WEIGHED | LISTED | NESTED | ANY_JSON
    max_examples = 12

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return registry.create(self.name, OPTIONS.get(self.name, {}))


class Strongest(Strategy):
    """Right; what is wrong is added below."""

    def decide(self, claims):
        return Outcome(claims[0].value, claims[0].connector) if visible(claims) else None


class TakesWhoCameFirst(Strongest):
    first = None

    def decide(self, claims):
        shown = visible(claims)
        if not shown:
            return None
        self.first = self.first or shown[0].connector
        winner = next((claim for claim in shown if claim.connector == self.first), shown[0])
        return Outcome(winner.value, winner.connector)


class Counts(Strongest):
    asked = 0

    def decide(self, claims):
        self.asked += 1
        return Outcome(self.asked, claims[0].connector)


class KeepsWhatIsGone(Strongest):
    def __init__(self, options):
        super().__init__(options)
        self.seen = {}

    def decide(self, claims):
        self.seen |= {claim.connector: None for claim in claims}
        return Outcome(len(self.seen), claims[0].connector)


class Alters(Strongest):
    def decide(self, claims):
        for claim in claims:
            if isinstance(claim.value, list):
                claim.value.append("mine")
        return super().decide(claims)


class CannotTakeNull(Strongest):
    def decide(self, claims):
        return Outcome(min(len(claim.value) for claim in claims if not isinstance(claim.value, int | float)), "a")


class PublishesNull(Strongest):
    def decide(self, claims):
        return Outcome(claims[0].value, claims[0].connector)


class NamesNobody(Strongest):
    def decide(self, _claims):
        return Outcome(1, [])


class NamesASilentOne(Strongest):
    def decide(self, _claims):
        return Outcome(1, "a")


class NamesOneTwice(Strongest):
    def decide(self, claims):
        return Outcome(1, [claims[0].connector] * 2)


class LooksAtTimeInSecret(Strongest):
    def decide(self, claims):
        shown = visible(claims)
        return Outcome(max(claim.observed_at for claim in shown), shown[0].connector) if shown else None


class CannotExplain(Strongest):
    def reason(self, _loser, winner, _claims):
        return "lost against " + winner.connector


LAWS = {name: getattr(StrategyLaws, name) for name in dir(StrategyLaws) if name.startswith("test_")}
BROKEN = [
    (TakesWhoCameFirst, "test_the_order_in_which_changes_come_does_not_matter"),
    (TakesWhoCameFirst, "test_what_was_merged_before_does_not_matter"),
    (Counts, "test_what_was_merged_before_does_not_matter"),
    (KeepsWhatIsGone, "test_a_connector_that_is_removed_leaves_nothing_behind"),
    (Alters, "test_the_records_are_not_altered"),
    (CannotTakeNull, "test_nothing_that_validation_let_through_raises"),
    (CannotExplain, "test_nothing_that_validation_let_through_raises"),
    (PublishesNull, "test_the_field_has_a_value_exactly_when_it_has_winners_that_claim_one"),
    (PublishesNull, "test_where_all_say_that_it_is_empty_it_is_left_out"),
    (NamesNobody, "test_the_field_has_a_value_exactly_when_it_has_winners_that_claim_one"),
    (NamesASilentOne, "test_the_field_has_a_value_exactly_when_it_has_winners_that_claim_one"),
    (NamesOneTwice, "test_the_field_has_a_value_exactly_when_it_has_winners_that_claim_one"),
    (LooksAtTimeInSecret, "test_the_time_of_a_record_counts_only_where_the_strategy_says_so"),
]


def laws_of(strategy):
    class Laws(StrategyLaws):
        values = st.none() | ANY_JSON | st.lists(st.integers(), max_size=2)

        def make(self):
            return strategy({})

    return Laws()


@pytest.mark.parametrize("law", LAWS)
def test_a_strategy_that_is_right_passes(law):
    LAWS[law](laws_of(Strongest))


@pytest.mark.parametrize(("strategy", "law"), BROKEN, ids=[f"{broken.__name__}-{law}" for broken, law in BROKEN])
def test_a_strategy_that_is_wrong_is_caught(strategy, law):
    with pytest.raises((AssertionError, MergeError, AttributeError)):
        LAWS[law](laws_of(strategy))


def test_every_law_catches_somebody():
    assert {law for _, law in BROKEN} == set(LAWS)
