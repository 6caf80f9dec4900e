"""Life, by example: fresh, stale, dead, forgotten, and the clock that stands still."""

import pytest

from schemas.records import NEVER, Record
from streams.expiry import Band, band, forgotten_at, next_deadline
from streams.policy import ConnectorPolicy, Policy

T = 1_700_000_000_000
WEEK = 7 * 24 * 3600 * 1000
DAY = WEEK // 7


def record(*, ttl=None, at=T, timestamp=T, content=b"{}"):
    return Record(
        connector="git", generation=0, version=1, observed_at=at, timestamp=timestamp, ttl=ttl, priority=None,
        content_hash="", content=content, id="t/0/0",
    )  # fmt: skip


def policy(*outages, **fields):
    return Policy(connectors={"git": ConnectorPolicy(**fields)}, outages={"git": outages})


@pytest.mark.parametrize(
    ("age", "expected"),
    [(-1, Band.FRESH), (9_999, Band.FRESH), (10_000, Band.STALE), (14_999, Band.STALE), (15_000, Band.DEAD)],
)
def test_a_record_is_fresh_then_stale_for_the_grace_then_dead(age, expected):
    assert band(record(ttl=10), policy(grace=5), T + age) is expected


def test_without_grace_a_record_is_never_stale():
    assert band(record(ttl=10), policy(), T + 10_000) is Band.DEAD


@pytest.mark.parametrize(("own", "connectors"), [(None, NEVER), (NEVER, 1)])
def test_without_a_ttl_a_record_is_always_fresh(own, connectors):
    assert band(record(ttl=own), policy(ttl=connectors), T + 10**15) is Band.FRESH


def test_a_changes_own_ttl_replaces_its_connectors():
    assert band(record(ttl=10), policy(ttl=1), T + 5000) is Band.FRESH


def test_a_delete_has_no_life():
    assert band(record(content=None), policy(), T) is Band.DEAD


@pytest.mark.parametrize(
    ("outages", "dies_at"),
    [
        ([(5_000, 8_000)], 13_000),
        ([(-5_000, 3_000)], 13_000),
        ([(-5_000, -1_000)], 10_000),
        ([(10_000, 20_000)], 10_000),
        ([(9_999, 19_999)], 20_000),
        ([(2_000, 4_000), (11_000, 14_000)], 15_000),
        ([(5_000, NEVER)], 10_000 + DAY),
        ([(0, DAY), (DAY + 5_000, 2 * DAY)], 10_000 + DAY),
    ],
    ids=[
        "an outage stops the clock",
        "only what lies after observedAt counts",
        "an earlier one does not",
        "nor one after the end",
        "one just before the end does",
        "they add up",
        "for max_stale at most",
        "together",
    ],
)
def test_the_clock_stands_still_in_outages(outages, dies_at):
    still = policy(*((T + begin, T + end) for begin, end in outages))
    bands = [band(record(ttl=10), still, T + dies_at + by) for by in (-1, 0)]
    assert bands == [Band.FRESH, Band.DEAD]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (record(content=None), T + WEEK),
        (record(content=None, at=T + 5, timestamp=T), T + 5 + WEEK),
        (record(content=None, at=T - 5, timestamp=T), T + WEEK),
        (record(content=None, ttl=NEVER), T + WEEK),
        (record(content=None, ttl=60), T + WEEK),
        (record(content=None, ttl=9 * 24 * 3600), T + 9 * DAY),
        (record(ttl=60), T + 60_000 + WEEK),
        (record(ttl=9 * 24 * 3600), T + 18 * DAY),
        (record(), NEVER),
    ],
    ids=[
        "a tombstone lasts seven days",
        "from observedAt when that is later",
        "from its timestamp when that is later",
        "without a ttl too",
        "with a short ttl too",
        "a longer ttl counts",
        "a dead upsert lasts seven days from its death",
        "or its ttl",
        "what never dies is never forgotten",
    ],
)
def test_the_dead_are_kept_for_seven_days_or_their_ttl_and_then_forgotten(of, expected):
    assert forgotten_at(of, policy()) == expected


def test_deadlines_are_the_boundaries_of_every_record_in_turn():
    found, moment = [], T
    while (moment := next_deadline([record(ttl=10), record(content=None)], policy(grace=5), moment)) != NEVER:
        found.append(moment - T)
    assert found == [10_000, 15_000, WEEK, 15_000 + WEEK]


def test_the_longest_ttl_has_no_deadline():
    assert next_deadline([record(ttl=2**63 - 1)], policy(grace=5), T) == NEVER


def test_a_record_from_the_beginning_of_time_has_none_to_come():
    assert next_deadline([record(ttl=10, at=-(2**63))], policy(), T) == NEVER
