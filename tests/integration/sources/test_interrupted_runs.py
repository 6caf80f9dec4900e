"""Runs that something ended: what goes on, at once, as what it was, and what is begun anew."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from schemas.errors import CursorExpiredError, NotAcknowledgedError, SourceUnreachableError, UnreadableAnswerError
from sources.guard import Limits
from sources.runner import Runner
from sources.schedule import Schedule
from tests.integration.sources.scripted import Scripted, many


def _nothing(label):
    del label


def _kafka_away_at(label, number=1):
    seen = []

    def reached(point):
        seen.append(point)
        if seen.count(label) == number and point == label:
            raise NotAcknowledgedError("Kafka did not acknowledge")

    return reached


def _interrupted(stage, source, label, number=1):
    """Let the run that is due end at *label* as one does while Kafka is away."""
    stage.reached = _kafka_away_at(label, number)
    with pytest.raises(NotAcknowledgedError):
        stage.look(source)
    stage.reached = _nothing


def test_a_run_that_somebody_asked_for_goes_on_at_once_after_kafka_was_away(stage):
    source = Scripted(many(30))

    async def working(place):
        runner, stop = Runner(stage.connector(source), place), asyncio.Event()
        await runner.begin()
        await runner.look(stop)
        stage.rows("UPDATE ingestion_state SET requested_at = now()")
        source.asked.clear()
        stage.reached = _kafka_away_at("page.read", 2)
        with pytest.raises(NotAcknowledgedError):
            await runner.look(stop)
        stage.reached = _nothing
        await runner.look(stop)

    stage.run(working)
    assert (source.asked, [run["outcome"] for run in stage.runs]) == ([None, {"next": 10}], ["complete", "complete"])


def test_a_full_run_that_begins_anew_is_still_full(stage):
    source = Scripted(many(5))
    stage.look(source)
    stage.rows("UPDATE ingestion_state SET requested_at = now(), requested_full = true")
    _interrupted(stage, source, "page.read")
    stage.look(source)
    assert (stage.runs[-1]["is_full"], stage.runs[-1]["published"]) == (True, 5)


@pytest.mark.parametrize("errors", [[UnreadableAnswerError], [SourceUnreachableError, CursorExpiredError]])
def test_a_full_run_that_failed_is_repeated_as_one_and_then_no_more(stage, errors):
    source = Scripted(many(15))
    stage.look(source)
    stage.rows("UPDATE ingestion_state SET requested_at = now(), requested_full = true")

    coming = list(errors)

    def fail(number):
        if number == 1 and coming:
            raise coming.pop(0)("it cannot be read")

    source.before = fail
    stage.look(source, times=len(errors) + 1)
    stage.look(source)
    assert [(run["outcome"], run["is_full"], run["published"]) for run in stage.runs] == [
        ("complete", False, 15),
        ("failed", True, 10),
        ("complete", True, 15),
        ("complete", False, 0),
    ]


def test_a_run_that_was_under_way_when_the_full_one_came_due_does_not_stand_for_it(stage):
    stage.schedule = Schedule(full_cron=f"{datetime.now(UTC) - timedelta(hours=1):%M %H} * * *")
    source = Scripted(many(15))
    stage.look(source)
    _interrupted(stage, source, "page.read", 2)
    stage.rows("UPDATE connector_runs SET started_at = now() - interval '2 hours' WHERE outcome = 'running'")
    stage.look(source, times=2)
    assert [run["is_full"] for run in stage.runs] == [False, False, True]


def test_a_run_of_another_day_is_not_gone_on_with(stage):
    """What was missing then may be back."""
    system = many(30)
    source = Scripted(system)
    stage.look(source)
    back = system.pop("c-00003")
    _interrupted(stage, source, "sweep.begun")
    system["c-00003"] = back
    stage.rows("UPDATE connector_runs SET started_at = now() - interval '25 hours' WHERE outcome = 'running'")
    stage.look(source)
    assert [change for change in stage.changes() if change.get("op") == "delete"] == []


def test_what_was_published_before_a_kill_and_is_gone_after_it_is_deleted(stage):
    system = many(3)
    source = Scripted(system)
    _interrupted(stage, source, "page.published")
    del system["c-00001"]
    stage.look(source)
    assert {ref.removeprefix("component:default/") for ref in stage.held()} == set(system)


def test_a_page_that_kafka_did_not_acknowledge_is_read_again(stage):
    source = Scripted(many(20))
    _interrupted(stage, source, "page.intended", 2)
    stage.look(source)
    assert len(stage.held()) == 20


def test_what_an_unchanged_run_saw_before_it_was_interrupted_is_not_deleted_when_it_goes_on(stage):
    source = Scripted(many(30))
    stage.look(source)
    _interrupted(stage, source, "page.read", 3)
    stage.look(source)
    assert (len(stage.held()), [(run["outcome"], run["deleted"], run["held"]) for run in stage.runs]) == (
        30,
        [("complete", 0, 0), ("complete", 0, 0)],
    )


@pytest.fixture
def large(stage):
    """A source that held so many entities that to delete what it has lost takes two batches."""
    stage.limits = Limits(max_count=2_000, max_percent=100)
    system = many(1_011)
    source = Scripted(system, size=500)
    stage.look(source)
    for name in list(system)[10:]:
        del system[name]
    return source


def test_a_sweep_ends_between_two_batches_when_it_is_told_to_and_goes_on_later(stage, large):
    async def working(place):
        runner, stop = Runner(stage.connector(large), place), asyncio.Event()
        await runner.begin()
        stage.reached = lambda label: stop.set() if label == "sweep.forgotten" else None
        await runner.look(stop)

    stage.run(working)
    stage.reached = _nothing
    between = len(stage.ledger), stage.runs[-1]["outcome"]
    stage.look(large)
    assert (between, len(stage.ledger), stage.runs[-1]["outcome"]) == ((11, "running"), 10, "complete")


def test_a_sweep_ends_between_two_batches_when_somebody_pauses_the_connector(stage, large):
    def pause(label):
        if label == "sweep.forgotten":
            stage.rows("UPDATE ingestion_state SET paused = true")

    stage.reached = pause
    stage.look(large, times=2)
    stage.reached = _nothing
    between = len(stage.ledger), stage.runs[-1]["outcome"]
    stage.rows("UPDATE ingestion_state SET paused = false")
    stage.look(large)
    assert (between, len(stage.ledger), stage.runs[-1]["outcome"]) == ((11, "running"), 10, "complete")


def test_a_run_that_rests_or_deletes_gets_on(stage):
    system, waited = many(15), []
    source = Scripted(system)
    stage.burst_seconds, stage.interval_seconds = 0.0, 30.0

    async def working(place):
        runner, stop = Runner(stage.connector(source), place), asyncio.Event()
        await runner.begin()
        async with asyncio.timeout(30):
            looking = asyncio.create_task(runner.look(stop))
            while stage.state["phase"] != "interstitial":  # noqa: ASYNC110 - rows have no event
                await asyncio.sleep(0.05)
            waited.append(runner.waited)
            stop.set()
            await looking

    async def deleting(place):
        def reached(label):
            if label == "sweep.taken":
                time.sleep(0.5)
            elif label == "sweep.forgotten":
                waited.append(runner.waited)

        runner = Runner(stage.connector(source), place)
        await runner.begin()
        await runner.look(asyncio.Event())
        del system["c-00003"]
        stage.rows("UPDATE ingestion_state SET next_run_at = now()")
        stage.reached = reached
        await runner.look(asyncio.Event())

    stage.run(working)
    stage.interval_seconds = 0.01
    stage.run(deleting)
    assert (waited[0], waited[1] < 0.5, len(waited)) == (0.0, True, 2)
