"""Sources that give what nobody expects: one oddity costs neither the rest of the run nor the other connectors."""

import pytest

from schemas.errors import SourceUnreachableError, UnreadableAnswerError
from sources.base import Item, Page, Refused
from tests.integration.sources.scripted import Scripted, component, many


class Feed(Scripted):
    """A source that tells changes as well: `feed` is what it says changed."""

    feed: tuple[Page, ...] = ()

    def changes(self, since):
        del since
        return self._feed()

    async def _feed(self):
        for page in self.feed:
            yield page


def _item(name, **change):
    return Item(place=name, change={"entity": component(name), **change}, scope=name)


@pytest.mark.parametrize("name", ["nul\0", "surrogate\ud800", "x" * 300])
def test_a_name_that_nothing_can_hold_is_refused_alone(stage, name):
    source = Scripted({**many(2), "odd": component(name)})
    stage.look(source)
    assert (stage.runs[-1]["outcome"], stage.runs[-1]["refused"], len(stage.held())) == ("complete", 1, 2)


def test_a_scope_that_was_not_read_stays_so_whatever_else_is_refused_in_it(stage):
    class Two(Scripted):
        async def pages(self, cursor):
            del cursor
            yield Page(items=[_item("one")], unread={"acme": "it answered 403"})
            yield Page(items=[_item("two")], refused=[Refused(place="a", reason="it cannot be read", scope="acme")])

    state = stage.look(Two({}))
    assert (stage.runs[-1]["outcome"], state["last_error_class"]) == ("partial", "PartialRunError")


def test_what_a_run_brings_and_then_takes_back_is_not_kept_for_ever(stage):
    source = Feed(many(3))
    stage.look(source)
    gone = Item(place="feed", change={"op": "delete", "entityRef": "component:default/new"})
    source.feed = (Page(items=[_item("new")], cursor={"next": 1}), Page(items=[gone], cursor={"next": 2}))
    stage.look(source)
    source.feed = ()
    stage.look(source)
    assert ([run["mode"] for run in stage.runs], sorted(stage.held())) == (
        ["complete", "changes", "complete"],
        [f"component:default/c-0000{number}" for number in range(3)],
    )


def test_a_source_that_fails_before_its_first_page_fails_its_run_alone(stage):
    class Abrupt(Feed):
        def changes(self, since):
            del since
            raise UnreadableAnswerError("the source tells nothing of changes")

    source = Feed(many(3))
    stage.look(source)
    state = stage.look(Abrupt(source.system))
    assert (state["last_error_class"], state["consecutive_failures"]) == ("UnreadableAnswerError", 1)


@pytest.mark.parametrize("odd", ["\0", "\ud800"])
def test_an_error_whose_text_nothing_can_hold_fails_its_run_alone(stage, odd):
    source = Scripted(many(3))

    def before(_):
        raise SourceUnreachableError(f"no answer from {odd}")

    source.before = before
    state = stage.look(source)
    assert (state["last_error_class"], state["last_error_message"]) == ("SourceUnreachableError", "no answer from ?")
