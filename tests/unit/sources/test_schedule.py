"""When a connector runs next."""

from datetime import UTC, datetime, timedelta

import pytest

from sources.guard import Limits, allows
from sources.schedule import Schedule, after_failure, after_success, next_full

NOW = datetime(2026, 3, 28, 23, 50, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_without_a_schedule_a_connector_rests():
    assert after_success(Schedule(rest=HOUR), NOW, chance=0) == NOW + HOUR


def test_rest_counts_for_nothing_beside_a_schedule():
    found = after_success(Schedule(cron="*/15 * * * *", rest=HOUR), NOW, chance=0)
    assert found == datetime(2026, 3, 29, 0, 0, tzinfo=UTC)


def test_a_schedule_is_read_in_its_time_zone():
    """In Berlin the clocks go from two to three that night: a run at half past two is at three."""
    found = after_success(Schedule(cron="30 2 * * *", timezone="Europe/Berlin"), NOW, chance=0)
    assert found.astimezone(UTC) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_jitter_comes_after_what_is_planned():
    found = after_success(Schedule(rest=HOUR, jitter=timedelta(minutes=10)), NOW, chance=0.5)
    assert found == NOW + HOUR + timedelta(minutes=5)


def test_records_are_renewed_however_long_the_rest_is():
    found = after_success(Schedule(cron="0 0 1 1 *", renewal=HOUR, jitter=HOUR), NOW, chance=1)
    assert found == NOW + HOUR / 2


def test_what_a_run_just_leaves_alone_lives_until_the_next_one_has_renewed_it():
    """A life of an hour: a record of 29:59 is left alone, by a run that takes five minutes."""
    ttl, age, minute = HOUR, timedelta(minutes=29, seconds=59), timedelta(minutes=1)
    found = after_success(Schedule(cron="50 * * * *", renewal=ttl / 2), NOW + 5 * minute, chance=0)
    assert found + 5 * minute - (NOW - age) < ttl


@pytest.mark.parametrize(("failures", "pause"), [(1, 30), (2, 60), (3, 300), (4, 1800), (50, 1800)])
def test_a_run_that_fails_is_repeated_after_a_growing_pause(failures, pause):
    assert after_failure(Schedule(), NOW, failures) == NOW + timedelta(seconds=pause)


def test_a_source_is_left_alone_for_as_long_as_it_asks():
    assert after_failure(Schedule(), NOW, 1, retry_after=120.0) == NOW + timedelta(seconds=120)


@pytest.mark.parametrize(
    ("asked", "pause"), [(1e12, 3600), (1e9, 3600), (float("inf"), 3600), (float("nan"), 30), (-1e12, 30)]
)
def test_no_source_is_left_alone_for_ever(asked, pause):
    assert after_failure(Schedule(), NOW, 1, retry_after=asked) == NOW + timedelta(seconds=pause)


def test_everything_is_published_anew_when_the_full_schedule_says_so():
    assert next_full(Schedule(full_cron="0 2 * * *"), NOW) == datetime(2026, 3, 29, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("deletions", "entities", "expected"),
    [(20, 30, True), (21, 30, False), (21, 210, True), (22, 210, False), (21, 209, False), (0, 0, True)],
)
def test_the_guard_lets_twenty_pass_or_a_tenth(deletions, entities, expected):
    assert allows(deletions, held=0, entities=entities, limits=Limits()) is expected


def test_what_is_held_already_counts():
    assert not allows(1, held=20, entities=30, limits=Limits())
