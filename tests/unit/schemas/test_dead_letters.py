"""The headers of a dead letter say what it was, whatever the record carried before."""

import pytest

from schemas.dead_letters import SetAside, dead_letter_headers, read_headers
from schemas.errors import DecodeError

OURS = dead_letter_headers(DecodeError("not JSON"), stage="decode", origin="a.b/3/42", timestamp=1_000, attempts=2)
FACTS = SetAside(
    topic="a.b",
    partition=3,
    offset=42,
    timestamp=1_000,
    stage="decode",
    error="DecodeError",
    reason="not JSON",
    attempts=2,
)


def test_what_is_written_is_read():
    assert read_headers(OURS) == (FACTS, [])


def test_headers_of_the_original_stay_even_under_our_names():
    before = [
        ("trace", b"1"),
        ("mainstem-stage", b"of an earlier life"),
        ("trace", None),
        ("mainstem-forwarded-from", b"x/1/2"),
    ]
    assert read_headers([*before, *OURS]) == (FACTS, before)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        OURS[1:],
        [each for each in OURS if each[0] != "mainstem-stage"],
        [*OURS, ("mainstem-origin-offset", b"x")],
        [*OURS, ("mainstem-origin-partition", "٣".encode())],
        [*OURS, ("mainstem-origin-timestamp", None)],
        [*OURS, ("mainstem-attempts", b"9" * 30)],
    ],
)
def test_what_does_not_say_where_it_came_from_is_none_of_ours(headers):
    assert read_headers(headers)[0] is None


def test_a_reason_that_is_no_text_is_read_nevertheless():
    found, _ = read_headers([*OURS, ("mainstem-reason", b"\xff")])
    assert found is not None
    assert found.reason == "\\xff"
