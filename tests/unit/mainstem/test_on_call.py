"""Whose duty it is, and when it ends."""

from datetime import UTC, datetime

import pytest

from mainstem.api import canonical

NOW = datetime(2026, 1, 30, 9, tzinfo=UTC).timestamp()


def on_call(until):
    duty = {"userId": "jane", "name": "Jane", **({} if until is None else {"until": until})}
    row = {"metadata": {"onCall": duty}, "on_call_source": "git", "source": "git", "stale": [], "schedule_id": None}
    return canonical.on_call({**row, "touched": {}}, now=NOW)


@pytest.mark.parametrize(
    "until",
    ["2026-01-30T09:00:00Z", "2026-01-30T10:00:00+02:00", "2026-01-30T08:59", "2026-01-29", "2025-12-31T23:00:00.5Z"],
)
def test_a_duty_that_is_over_is_nobodys(until):
    assert on_call(until) is None


@pytest.mark.parametrize(
    "until", [None, "2026-01-30T09:00:01Z", "2026-01-30T10:30:00+01:00", "2026-01-30", "the end of the shift"]
)
def test_a_duty_that_is_not_over_is_told_with_its_end(until):
    assert on_call(until)["until"] == until
