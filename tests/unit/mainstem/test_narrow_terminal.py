"""Tables in a terminal of 80 columns: nothing is cut off, and no word stands in a column of single letters.

Where there is no terminal, nothing goes on in the next line.
"""

import io

import pytest
from rich.console import Console

from mainstem.commands import connector_views, dead_letter_views, entities, explain
from mainstem.dead_letters.letters import DeadLetter, LetterId
from mainstem.terminal import screen
from schemas.dead_letters import SetAside
from streams.explain import Explanation, Leaf, Loser, Standing

NARROW, WIDE = 80, 200
TOPIC, KEY = "mainstem.changes.incident-tool-production", "component:default/payments-gateway"
REASON = "/entity/spec/lifecycle: must be text that is not empty; /entity/metadata/name: must be there"
SLUG, LONG = "/metadata/annotations/github.com~1project-slug", "/metadata/annotations/a"
CONNECTOR = "payments-department"
VALUE = "url:https://docs.acme.example/a/long/way/to/go/until/there"


def _shown(width, show):
    console = Console(width=width, file=io.StringIO())
    show(console)
    return console.file.getvalue()


def _letter():
    aside = SetAside(
        topic=TOPIC, partition=1, offset=7, timestamp=0, stage="validate", error="ValidationError", reason=REASON,
        attempts=1,
    )  # fmt: skip
    return DeadLetter(id=LetterId(3, 42), at=0, key=KEY.encode(), value=b"{}", aside=aside, headers=())


def _letters(width):
    return _shown(width, _show_letters)


def _show_letters(console):
    dead_letter_views.table([(_letter(), None)], console)


def _explained(width):
    return _shown(width, _show_explanation)


def _show_explanation(console):
    leaf = Leaf(
        pointer="/metadata/annotations/backstage.io~1techdocs-ref",
        strategy="first_by_priority",
        value="dir:.",
        winners=("git",),
        losers=(Loser(connector="openchoreo-production", value=VALUE, reason="lower priority"),),
    )
    standing = Standing(connector="git", life="fresh", priority=50, observed_at=0, asserts_existence=True)
    found = Explanation(entity=object(), standings=(standing,), leaves=(leaf,))
    explain.show(KEY, found, found.leaves, console=console)


def _show_entity(console):
    row = {"entity_ref": KEY, "stale": [], "provenance": dict.fromkeys((SLUG, LONG), "git, openchoreo-production")}
    annotations = {SLUG.rpartition("/")[2].replace("~1", "/"): VALUE, "a": VALUE * 20}
    entities.show({**row, "entity": {"metadata": {"annotations": annotations}}, "service": {}}, console)


def _show_connectors(console):
    times = {"last_success_at": None, "next_run_at": None}
    status = {"state": "waiting", "enabled": True, "entities": 1, "held_deletions": 0, **times}
    connector_views.table([{"connector_id": CONNECTOR, **status}], console)


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("show", [_letters, _explained])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_cut_off(show, width):
    text = show(width)
    assert (max(map(len, text.splitlines())) <= width, "…" in text) == (True, False)


@pytest.mark.parametrize(
    ("show", "words"),
    [
        (_letters, ("3/42", "validate of", TOPIC, KEY)),
        (
            _explained,
            ("/metadata/annotations/backstage.io~1techdocs-ref", "openchoreo-production", "lost: lower priority"),
        ),
    ],
)
def test_words_stay_together(show, words):
    text = show(NARROW)
    assert [each for each in words if each not in text] == []


@pytest.mark.parametrize(
    ("show", "words"),
    [
        (_show_letters, ("3/42", TOPIC, KEY, REASON)),
        (_show_explanation, ("/metadata/annotations/backstage.io~1techdocs-ref", VALUE, "lost: lower priority")),
        (_show_entity, (SLUG, LONG, VALUE * 20, "git, openchoreo-production")),
        (_show_connectors, (CONNECTOR,)),
    ],
)
def test_in_a_pipe_nothing_goes_on_in_the_next_line(capsys, show, words):
    show(screen())
    text = capsys.readouterr().out
    assert [each for each in words if each not in text] == []
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize(("show", "word"), [(_show_entity, SLUG), (_show_connectors, CONNECTOR)])
def test_what_a_row_is_about_is_not_squeezed(show, word):
    assert word in _shown(NARROW, show)
