"""A terminal obeys nothing that came from outside."""

import pytest

from mainstem.terminal import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcode, 漢字 🙂", "plain, ünïcode, 漢字 🙂"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b31m\x7f\x00", "\\x9b31m\\x7f\\x00"),
        ("\u202eexe.png\u2066\u200b", "\\u202eexe.png\\u2066\\u200b"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u2028\ud800", "\\u2028\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_an_escape(text, shown):
    assert visible(text) == shown


def test_lines_stay_where_there_may_be_several():
    assert visible("a\n\tb\r\n", lines=True) == "a\n\tb\\r\n"
