"""Ready means progress: each answer of a role for each state that it can be in."""

from datetime import UTC, datetime

import pytest

from mainstem.roles.connectors import PATIENCE_SECONDS as PAGE_SECONDS
from mainstem.roles.connectors import readiness
from mainstem.roles.health import PATIENCE_SECONDS, Progress
from sources.states import State

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Work:
    """A role as its readiness sees it, on a clock that the test moves."""

    def __init__(self):
        self.lag, self.done, self.now = 0, 0, 0.0
        self._progress = Progress(lambda: self.lag, lambda: self.done, clock=lambda: self.now)

    def is_ready(self, *, after=1.0):
        self.now += after
        return self._progress.readiness().is_ready


class Running:
    """A connector's runner as the role sees it."""

    def __init__(self, name, *, completed=1, failing=False, waited=0.0):
        self.id, self.waited = name, waited
        self.state = State(now=NOW, last_success_at=NOW if completed else None, consecutive_failures=int(failing))


@pytest.fixture
def work():
    return Work()


def test_nothing_to_do_is_ready(work):
    assert [work.is_ready(after=PATIENCE_SECONDS) for _ in range(4)] == [True] * 4


def test_a_role_that_has_not_begun_is_not_ready_however_long_it_takes(work):
    work.lag = None
    assert [work.is_ready(after=PATIENCE_SECONDS) for _ in range(4)] == [False] * 4


def test_records_that_wait_while_none_is_finished_make_it_not_ready(work):
    work.is_ready()
    work.lag = 5
    answers = [work.is_ready(after=PATIENCE_SECONDS / 3) for _ in range(4)]
    assert answers == [True, True, False, False]


def test_one_finished_record_makes_it_ready_again(work):
    work.lag = 5
    work.is_ready(after=2 * PATIENCE_SECONDS)
    assert not work.is_ready(after=2 * PATIENCE_SECONDS)
    work.done, work.lag = 1, 4
    assert work.is_ready()


def test_a_role_that_recovers_is_given_its_patience_anew(work):
    work.lag = 5
    assert not [work.is_ready(after=2 * PATIENCE_SECONDS) for _ in range(2)][1]
    work.lag = None
    assert not work.is_ready()
    work.lag = 5
    assert work.is_ready()


@pytest.mark.parametrize(
    ("runner", "told"),
    [
        (Running("git"), {}),
        (Running("git", completed=0), {"not_yet_complete": ["git"]}),
        (Running("git", failing=True), {"failing": ["git"]}),
        (Running("git", waited=PAGE_SECONDS + 1), {"stuck": ["git"]}),
    ],
)
def test_connectors_are_ready_when_every_one_has_run_none_fails_and_none_hangs(runner, told):
    found = readiness([Running("other"), runner])
    assert ({name: ids for name, ids in found.detail.items() if ids}, found.is_ready) == (told, not told)


def test_no_connectors_have_nothing_to_do():
    assert readiness([]).is_ready
