"""Tables in a terminal of 80 columns: nothing is cut off, and no word stands in a column of single letters."""

import io

import pytest
from rich.console import Console

from mainstem.commands import dead_letter_views, explain
from mainstem.dead_letters.letters import DeadLetter, LetterId
from schemas.dead_letters import SetAside
from streams.explain import Explanation, Leaf, Loser, Standing

NARROW, WIDE = 80, 200
TOPIC, KEY = "mainstem.changes.incident-tool-production", "component:default/payments-gateway"
REASON = "/entity/spec/lifecycle: must be text that is not empty; /entity/metadata/name: must be there"
VALUE = "url:https://docs.acme.example/a/long/way/to/go/until/there"


def _shown(width, show):
    console = Console(width=width, file=io.StringIO())
    show(console)
    return console.file.getvalue()


def _letters(width):
    aside = SetAside(
        topic=TOPIC, partition=1, offset=7, timestamp=0, stage="validate", error="ValidationError", reason=REASON,
        attempts=1,
    )  # fmt: skip
    letter = DeadLetter(id=LetterId(3, 42), at=0, key=KEY.encode(), value=b"{}", aside=aside, headers=())
    return _shown(width, lambda console: dead_letter_views.table([(letter, None)], console))


def _explained(width):
    leaf = Leaf(
        pointer="/metadata/annotations/backstage.io~1techdocs-ref",
        strategy="first_by_priority",
        value="dir:.",
        winners=("git",),
        losers=(Loser(connector="openchoreo-production", value=VALUE, reason="lower priority"),),
    )
    standing = Standing(connector="git", life="fresh", priority=50, observed_at=0, asserts_existence=True)
    found = Explanation(entity=object(), standings=(standing,), leaves=(leaf,))
    return _shown(width, lambda console: explain.show(KEY, found, found.leaves, console=console))


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
