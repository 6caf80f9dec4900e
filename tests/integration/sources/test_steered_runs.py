"""Real runs, steered while they run."""

import asyncio
import threading

import psycopg
import pytest
from psycopg import AsyncConnection

from schemas.errors import ConflictError, LeaseLostError
from sources import steering
from sources.guard import Limits
from sources.steering import Configured
from tests.integration.sources.scripted import Scripted, many
from tests.integration.sources.stage import ID
from tests.patience import eventually

CONNECTOR = Configured(id=ID, type="scripted")


def steer(stage, work, *arguments, **options):
    """Do *work* as another process would; return what it returns, raise what it raises."""
    found = []

    async def connected():
        async with await AsyncConnection.connect(stage.dsn) as connection:
            return await work(connection, CONNECTOR, *arguments, **options)

    def working():
        try:
            found.append(asyncio.run(connected()))
        except ConflictError as error:
            found.append(error)

    thread = threading.Thread(target=working)
    thread.start()
    thread.join(30)
    return found[0]


def meanwhile(source, page, work):
    """Let *work* happen once, before *page* is given."""
    done = []
    source.before = lambda number: done.append(work()) if number == page and not done else None
    return done


def test_a_run_under_way_is_seen_and_cannot_be_asked_for_again(stage):
    source = Scripted(many(40))
    seen = meanwhile(source, 3, lambda: (steer(stage, steering.status), steer(stage, steering.request_sync)))

    stage.look(source)

    ((during, refused),) = seen
    after = steer(stage, steering.status)
    assert (during.state, during.entities_read) == ("running", 10 * during.pages)
    assert 1 <= during.pages < 4
    assert isinstance(refused, ConflictError)
    assert (after.state, after.entities, len(stage.runs)) == ("resting", 40, 1)


@pytest.mark.parametrize(("full", "published"), [(True, 30), (False, 0)])
def test_what_was_asked_for_is_run(stage, full, published):
    source = Scripted(many(30))
    stage.look(source)

    newest = steer(stage, steering.request_sync, full=full)
    stage.look(source)

    (_, run) = stage.runs
    assert (run["run"] > newest, "manual", published) == (True, run["trigger"], run["published"])
    assert stage.state["requested_at"] is None


def test_the_run_that_answers_is_told_also_where_an_interrupted_one_goes_on(stage):
    source = Scripted(many(30))
    meanwhile(source, 2, lambda: steer(stage, steering.pause))
    stage.look(source)
    interrupted = stage.state["run"]
    steer(stage, steering.resume)

    below = steer(stage, steering.request_sync, full=False)
    stage.look(source)

    answered = [run["run"] for run in stage.runs if run["run"] > below and run["outcome"] == "complete"]
    assert interrupted is not None
    assert answered[0] == interrupted


def test_a_run_that_is_reset_ends_and_the_next_one_publishes_everything(stage):
    source = Scripted(many(30))
    stage.look(source)
    steer(stage, steering.request_sync, full=False)
    meanwhile(source, 2, lambda: steer(stage, steering.reset))

    with pytest.raises(LeaseLostError):
        stage.look(source)
    stage.look(source)

    assert [run["outcome"] for run in stage.runs] == ["complete", "reset", "complete"]
    assert stage.runs[2]["published"] == 30


def test_a_reset_waits_for_nobody_who_waits_for_it(stage):
    """A page is being saved, in the order in which a run locks its rows, while the reset comes."""
    stage.look(Scripted(many(10)))
    outcomes = []
    resetting = threading.Thread(target=lambda: outcomes.append(steer(stage, steering.reset)))

    with psycopg.connect(stage.dsn) as page:
        page.execute("UPDATE leases SET expires_at = clock_timestamp() + interval '30 s'")
        page.execute("UPDATE ingestion_entity_refs SET content_hash = 'h'")
        resetting.start()
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        eventually(lambda: stage.rows(waiting), 30, pause=0.02)
        page.execute("UPDATE ingestion_state SET cursor = '{}'")
    resetting.join(30)

    assert (outcomes, stage.state["cursor"]) == ([None], None)
    assert stage.rows("SELECT DISTINCT content_hash FROM ingestion_entity_refs") == [{"content_hash": ""}]


def test_approved_deletions_are_published_and_rejected_ones_are_kept(stage):
    stage.limits = Limits(max_count=2, max_percent=1)
    stage.look(Scripted(many(30)))
    fewer = Scripted({name: entity for name, entity in many(30).items() if name > "c-00009"})

    held = []
    for decide in (steering.reject, steering.approve):
        steer(stage, steering.request_sync)
        stage.look(fewer)
        held += steer(stage, steering.holds)
        if decide is steering.approve:
            # What was rejected is kept until it is seen: only then can it be missing again.
            assert len(held) == 1
            steer(stage, steering.request_sync)
            stage.look(Scripted(many(30)))
            steer(stage, steering.request_sync)
            stage.look(fewer)
            held += steer(stage, steering.holds)
        steer(stage, decide, held[-1].hold_id, by="somebody")
    kept = len(stage.ledger)
    stage.look(fewer)

    assert [(len(each.refs), each.percent) for each in held] == [(10, 33.3)] * 2
    assert (kept, len(stage.ledger), len(stage.held())) == (30, 20, 20)
    assert {"rejected", "done"} == {row["state"] for row in stage.rows("SELECT state FROM held_deletions")}
