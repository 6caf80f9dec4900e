"""Pages that published nothing wait for each other before they are saved: none is forgotten, or counted twice."""

import asyncio
import signal

import pytest

from schemas.errors import LeaseLostError, SourceUnreachableError
from sources.base import Item, Page
from sources.run import Run
from tests.integration.sources.scripted import Scripted, component, many
from tests.integration.sources.struck import Blow, strike
from tests.patience import ended, granted


def _saved(stage, source):
    """Return how often something was saved in a run over *source*."""
    points = []
    stage.reached = points.append
    stage.look(source)
    return points.count("page.saved")


def test_pages_of_which_nothing_is_published_are_saved_together(stage):
    source = Scripted(many(100))
    first, second = _saved(stage, source), _saved(stage, source)
    assert (first, second < first, stage.runs[-1]["pages"], stage.runs[-1]["entities"]) == (10, True, 10, 100)


def test_what_waits_is_saved_while_the_source_is_waited_for(stage):
    class Slow(Scripted):
        async def pages(self, cursor):
            async for page in super().pages(cursor):
                if page.cursor["next"] == 30:
                    await self.waited()
                yield page

        async def waited(self):
            until = granted() + 30
            while self.is_slow and (await asyncio.to_thread(lambda: stage.runs))[-1]["pages"] < 2:
                assert granted() < until, "two pages are never saved"
                await asyncio.sleep(0.05)

    source = Slow(many(50))
    source.is_slow = False
    stage.look(source)
    source.is_slow = True
    stage.look(source)
    assert [(run["outcome"], run["pages"]) for run in stage.runs] == [("complete", 5), ("complete", 5)]


@pytest.mark.parametrize("page", [1, 2])
def test_an_unchanged_run_that_fails_goes_on_behind_its_last_page(stage, page):
    source = Scripted(many(40))
    stage.look(source)

    def fail(number):
        if number == page:
            raise SourceUnreachableError("the source does not answer")

    source.before = fail
    stage.look(source)
    source.before = lambda _: None
    stage.look(source)
    assert (source.asked[-1], stage.runs[-1]["outcome"], stage.runs[-1]["entities"]) == (
        {"next": 10 * page},
        "complete",
        40,
    )


def test_what_two_waiting_pages_both_hold_counts_once(stage):
    class Twice(Scripted):
        async def pages(self, cursor):
            async for page in super().pages(cursor):
                yield page
                yield page

    source = Twice(many(30))
    stage.look(source)
    stage.look(source)
    assert [(run["pages"], run["entities"], run["unchanged"]) for run in stage.runs] == [(6, 30, 0), (6, 30, 30)]


def test_a_page_that_publishes_takes_along_what_waits_before_it(stage):
    """What is refused, left out or not read in a page that waits is not forgotten over one that is saved."""

    class Partial(Scripted):
        async def pages(self, cursor):
            del cursor
            items = [Item(place=name, change={"entity": entity}, scope="acme") for name, entity in self.system.items()]
            yield Page(items=items[:10], cursor={"next": 1}, unread={"acme/pay": "it answered 403"}, total=20)
            yield Page(items=items[10:], cursor={"next": 2})

    system = many(20)
    stage.look(Partial(system))
    del system["c-00003"]
    system["new"] = {**system["c-00019"], "metadata": {"name": "new"}}
    state = stage.look(Partial(system))
    run = stage.runs[-1]
    assert (state["last_error_class"], run["outcome"], run["pages"], run["entities"], run["published"]) == (
        "PartialRunError",
        "partial",
        2,
        20,
        1,
    )


def test_a_run_that_was_killed_while_pages_waited_ends_in_exactly_what_the_source_holds(stage, tmp_path):
    system = many(200)
    stage.look(Scripted(system))
    system["c-00035"] = component("c-00035", owner="team-checkout")
    blow = Blow(
        kafka=stage.kafka,
        dsn=stage.dsn,
        prefix=stage.topics.prefix,
        system=system,
        size=10,
        label="page.published",
        number=7,
        name="SIGKILL",
        lease_seconds=30.0,
    )
    assert ended(strike(blow, tmp_path / "blow.json"), 120) == -signal.SIGKILL
    stage.rows("UPDATE leases SET expires_at = now()")
    del system["c-00150"]
    source = Scripted(system)
    stage.look(source)
    run = stage.runs[-1]
    assert stage.held().keys() == {f"component:default/{name}" for name in system}
    assert 40 <= source.asked[0]["next"] <= 60
    assert (run["outcome"], run["pages"], run["entities"], run["published"], run["deleted"]) == (
        "complete",
        20,
        199,
        1,
        1,
    )


def test_a_pause_that_comes_to_light_before_a_rest_ends_the_run_at_once(stage):
    source = Scripted(many(40))
    stage.look(source)

    def pause(label):
        if label == "page.published":
            stage.rows("UPDATE ingestion_state SET paused = true")

    stage.burst_seconds, stage.interval_seconds, stage.reached = 0.0, 30.0, pause
    began = granted()
    state = stage.look(source)
    assert (state["phase"], stage.runs[-1]["pages"], granted() - began < 20) == ("burst", 1, True)


def test_what_waits_is_not_saved_by_a_run_that_lost_its_lease(stage, monkeypatch):
    source = Scripted(many(40))
    stage.look(source)

    def lose(label):
        if label == "page.published":
            stage.rows("UPDATE leases SET holder = 'two', token = token + 1")
            raise LeaseLostError("another process has it")

    saves, save = [], Run._save
    monkeypatch.setattr(Run, "_save", lambda run: saves.append(run) or save(run))
    stage.reached = lose
    with pytest.raises(LeaseLostError):
        stage.look(source)
    assert saves == []
