"""What connectors say about outages, in any order, becomes the same intervals."""

import itertools

import pytest

from schemas.changes import Control
from schemas.records import NEVER
from streams.outages import WORDS_KEPT, Outages


def heard(*words):
    outages = Outages()
    for op, at in words:
        outages = outages.heard(Control(op=op, connector="git", observed_at=at))
    return outages


@pytest.mark.parametrize(
    ("words", "intervals"),
    [
        ([], {}),
        ([("outage", 5)], {"git": ((5, NEVER),)}),
        ([("outage", 5), ("recovered", 9)], {"git": ((5, 9),)}),
        ([("outage", 5), ("outage", 7), ("recovered", 9)], {"git": ((5, 9),)}),
        ([("recovered", 3), ("outage", 5), ("recovered", 9), ("recovered", 11)], {"git": ((5, 9),)}),
        ([("outage", 5), ("recovered", 9), ("outage", 20)], {"git": ((5, 9), (20, NEVER))}),
        ([("recovered", 3)], {}),
    ],
)
def test_words_become_the_same_intervals_in_every_order(words, intervals):
    for order in itertools.permutations(words):
        assert heard(*order, *order[:1]).intervals == intervals


def test_a_word_heard_before_is_nothing_new():
    outages = heard(("outage", 5))
    assert outages.heard(Control(op="outage", connector="git", observed_at=5)) is outages


def test_what_is_written_is_read_again():
    outages = heard(("outage", 5), ("recovered", 9), ("outage", 20))
    assert Outages.decode(outages.encode(7)) == outages
    assert Outages.decode(None) == Outages()


def test_the_oldest_words_are_dropped():
    outages = heard(*(("outage", at) for at in range(WORDS_KEPT + 10)))
    assert outages.intervals == {"git": ((10, NEVER),)}
    assert outages.lasting == {"git"}
