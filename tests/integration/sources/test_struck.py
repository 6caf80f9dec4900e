"""Processes that end, or stop, anywhere in a run."""

import signal

import psutil
import pytest

from sources.guard import Limits
from tests.integration.sources.scripted import Scripted, component, many
from tests.integration.sources.struck import Blow, strike
from tests.patience import ended, eventually

COUNT, SIZE = 2_000, 500
LABELS = [
    "page.read",
    "page.intended",
    "page.published",
    "page.saved",
    "sweep.begun",
    "sweep.taken",
    "sweep.published",
    "sweep.forgotten",
    "run.swept",
    "run.ended",
]


def _blow(stage, system, label, name, *, number=1, lease_seconds=30.0):
    return Blow(
        kafka=stage.kafka,
        dsn=stage.dsn,
        prefix=stage.topics.prefix,
        system=system,
        size=SIZE,
        label=label,
        number=number,
        name=name,
        lease_seconds=lease_seconds,
    )


def _let_all_pass(stage):
    stage.limits = Limits(max_count=COUNT, max_percent=100)


def _refs(system):
    return {f"component:default/{name}" for name in system}


def _look_until_complete(stage, source, runs):
    def is_complete():
        state = stage.look(source)
        return state["run"] is None and sum(run["outcome"] == "complete" for run in stage.runs) >= runs

    eventually(is_complete, 60, lambda: f"the run is not gone on with: {stage.runs}")


@pytest.mark.parametrize("label", LABELS)
def test_a_run_that_was_killed_ends_in_exactly_what_the_source_holds(stage, tmp_path, label):
    _let_all_pass(stage)
    system = many(COUNT)
    stage.look(Scripted(system, size=SIZE))
    for number in range(40):
        del system[f"c-{number * 50:05}"]
        system[f"c-{number * 50 + 1:05}"] = component(f"c-{number * 50 + 1:05}", owner="team-checkout")
        system[f"n-{number:05}"] = component(f"n-{number:05}")
    number = 2 if label.startswith("page") else 1
    process = strike(_blow(stage, system, label, "SIGKILL", number=number), tmp_path / "blow.json")
    assert ended(process, 120) == -signal.SIGKILL
    # What was published, and perhaps never saved, is gone by the time at which somebody goes on.
    stage.rows("UPDATE leases SET expires_at = now()")
    del system["c-00501"], system["n-00003"]
    _look_until_complete(stage, Scripted(system, size=SIZE), 2)
    _look_until_complete(stage, Scripted(system, size=SIZE), 3)
    held = stage.held()
    assert (held.keys() == _refs(system), stage.ledger == _refs(system)) == (True, True)
    assert held["component:default/c-01501"]["spec"]["owner"] == "team-checkout"


@pytest.mark.parametrize("label", ["page.read", "page.intended", "page.published", "sweep.taken"])
def test_a_process_that_was_stopped_cannot_finish_a_run_it_lost(stage, tmp_path, label):
    _let_all_pass(stage)
    system = many(60)
    stage.look(Scripted(system, size=SIZE))
    before = dict(system)
    del before["c-00007"]
    before["c-00009"] = component("c-00009", owner="team-checkout")
    process = strike(_blow(stage, before, label, "SIGSTOP", lease_seconds=4.0), tmp_path / "blow.json")
    try:
        _wait_until_stopped(process)
        # Meanwhile somebody puts back what was there, and another process runs the connector.
        _look_until_complete(stage, Scripted(system, size=SIZE), 2)
        _look_until_complete(stage, Scripted(system, size=SIZE), 3)
        published = len(stage.changes())
        process.send_signal(signal.SIGCONT)
        ended(process, 60)
    finally:
        process.kill()
    held = stage.held()
    assert len(stage.changes()) == published
    assert (held.keys() == _refs(system), held["component:default/c-00009"]["spec"]["owner"]) == (True, "team-pay")


def _wait_until_stopped(process):
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, 60, pause=0.05)


def test_two_processes_never_run_one_connector_at_once(stage, tmp_path):
    system = many(60)
    process = strike(_blow(stage, system, "page.intended", "SIGSTOP"), tmp_path / "blow.json")
    try:
        _wait_until_stopped(process)
        other = Scripted(system, size=SIZE)
        stage.look(other, times=3)
        asked = list(other.asked)
        process.send_signal(signal.SIGCONT)
        ended(process, 60)
    finally:
        process.kill()
    assert (asked, [run["outcome"] for run in stage.runs], stage.held().keys()) == ([], ["complete"], _refs(system))
