"""Who may write a partition: two workers of one group, one of which is stopped under load."""

import signal
import time

import pytest

from tests.integration.installation import Installation, component
from tests.integration.kill.process import WorkerProcess

NAMES = 24_000
"""More than a worker merges in the moment until it is stopped."""


@pytest.fixture
def own(kafka):
    """Yield an installation whose topics hold more than a worker merges in a moment."""
    installation = Installation(kafka, {"git": {"priority": 50}, "cmdb": {"priority": 60}})
    for number in range(NAMES):
        installation.queue("git", component(f"owned-{number}"))
    installation.flush()
    yield installation
    installation.close()


@pytest.fixture
def other(own):
    worker = WorkerProcess(own.worker.settings, own.worker.directory.with_name("other"))
    yield worker
    worker.kill()


def test_a_worker_that_was_stopped_for_longer_than_its_session_ends_before_it_writes_anything_more(own, other):
    own.worker.start()
    own.worker.wait_until_working(90)
    time.sleep(0.3)
    own.worker.signal(signal.SIGSTOP)
    other.start()
    other.wait_until_working(90)
    own.settle(150)
    written = len(own.read(own.topics.changelog))
    own.worker.signal(signal.SIGCONT)
    assert "ended before it wrote anything more" in own.worker.wait_until_ended()
    assert len(own.read(own.topics.changelog)) == written
