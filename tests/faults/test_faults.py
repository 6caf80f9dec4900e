"""A few faults with fixed seeds; `python -m tests.faults` has all of them, with any seed."""

import itertools
import random
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.changes import Origin, read_change
from schemas.codec import decode_change
from schemas.errors import Skippable
from tests.faults.catalogue.network import Cut, Resets
from tests.faults.catalogue.points import Point
from tests.faults.load import draw
from tests.faults.plan import CATALOGUE, Plan, Step, draw_plan
from tests.faults.poison import KINDS
from tests.faults.round import play

ORIGIN = Origin(connector="git", tenant="default", is_complete=False, timestamp=0, id="t/0/0")


@pytest.mark.timeout(1200)
def test_a_worker_that_dies_between_two_writes_and_a_sink_that_is_cut_off_change_nothing_about_the_result():
    faults = (
        Point("processor-0", "state.before", nth=3, stands_still=False, was_killed=True),
        Cut("postgres", "both", 3.0, is_lost=True),
        Resets("sink-incidents", 2),
    )
    plan = Plan(seed=1, workers=1, rate=120, steps=tuple(Step(rest=1.0, fault=fault) for fault in faults))

    outcome = play(plan)

    print(outcome.struck, outcome.endings, outcome.figures)
    assert outcome.wrong == []
    assert outcome.figures["events"] > 100


def test_a_seed_gives_the_same_plan_and_the_same_changes_again():
    for seed in range(50):
        assert draw_plan(seed) == draw_plan(seed)

    first, again = (list(itertools.islice(draw(random.Random("seed")), 500)) for _ in range(2))
    assert [(each.ref, each.key, each.way) for each in first] == [(each.ref, each.key, each.way) for each in again]


def test_every_fault_is_drawn_by_some_seed():
    drawn = {type(step.fault) for seed in range(200) for step in draw_plan(seed).steps}

    assert drawn == set(CATALOGUE)


@pytest.mark.parametrize("role", ["processor", "sinks"])
def test_every_seam_at_which_a_role_can_be_killed_is_there(role):
    marking = f"from tests.faults import role; role.MARKED[{role!r}]()"

    subprocess.run([sys.executable, "-c", marking], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("kind", KINDS)
def test_poison_is_poison(kind):
    with pytest.raises(Skippable):
        read_change(decode_change(KINDS[kind]), ORIGIN)
