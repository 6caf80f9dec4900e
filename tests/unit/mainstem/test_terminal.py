"""A terminal obeys nothing that came from outside."""

import io
from functools import partial

import pytest
from rich.console import Console

from mainstem.commands import entities, explain
from mainstem.terminal import counted, visible
from streams.explain import Explanation, Leaf


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


@pytest.mark.parametrize("told", ["0 entities", "1 entity", "2 entities", "1 page", "2 pages"])
def test_one_is_not_told_as_many(told):
    count, word = told.split()
    assert counted(int(count), "entity" if word.startswith("e") else "page") == told


def test_lines_stay_where_there_may_be_several():
    assert visible("a\n\tb\r\n", lines=True) == "a\n\tb\\r\n"


OBEYED = "\x1b]0;owned\x07[red]a[/red][/]"
SEEN = "\\x1b]0;owned\\x07[red]a[/red][/]"


def printed(show, *arguments):
    console = Console(file=io.StringIO(), force_terminal=True, no_color=True, width=200)
    show(*arguments, console=console)
    return console.file.getvalue()


def test_an_entity_is_shown_and_not_obeyed():
    row = {"entity_ref": "a:b/c", "stale": [], "provenance": {"/x": OBEYED}, "entity": {"x": OBEYED}, "service": {}}
    found = printed(entities.show, row)
    assert (found.count(SEEN), "\x1b]" in found) == (2, False)


def test_an_explanation_is_shown_and_not_obeyed():
    leaf = Leaf(pointer=f"/{OBEYED}", strategy="rank", winners=("git",), losers=(), value=OBEYED)
    found = printed(partial(explain.show, "a:b/c", Explanation(entity={}, standings=(), leaves=())), [leaf])
    assert (found.count(SEEN), "\x1b]" in found) == (2, False)
