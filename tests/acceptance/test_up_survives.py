"""`up` under kill -9 of each of its children at random moments, and of the whole tree, while changes come in.

MAINSTEM_TEST_SEED replays a seed; the moments depend on the machine as well.
"""

import os
import random
import time

import psutil
import pytest

from tests.acceptance.running import Up
from tests.faults.ledger import Ledger
from tests.faults.load import Load, configured, draw, last_deadline
from tests.integration.kill.changes import CONNECTORS
from tests.integration.kill.kafka_io import Publisher
from tests.patience import eventually

RATE = 120.0
CHILDREN = {
    "processor": ("processor", "run"),
    "sink-postgres": ("sinks", "postgres"),
    "sink-incidents": ("sinks", "incidents"),
    "api": ("api", "run"),
    "connectors": ("connectors", "run"),
    "kafka": ("kafka.Kafka",),
    "postgres": ("/bin/postgres",),
}


@pytest.fixture
def seed():
    value = int(os.environ.get("MAINSTEM_TEST_SEED", time.time_ns() % 1_000_000))
    print("MAINSTEM_TEST_SEED", value)
    return value


@pytest.fixture
def up():
    installation = Up({"connectors": configured()})
    yield installation
    installation.close()


def test_nothing_is_missing_repeated_or_reverted_after_kill_9_of_each_child_and_of_the_whole_tree(up, seed):
    rng = random.Random(seed)
    addresses = _addresses(up.start())
    publisher = Publisher(up.facts["kafka"], up.topics, draw(random.Random(seed)))
    load = Load(publisher, RATE)
    load.start()
    for name in rng.sample(sorted(CHILDREN), len(CHILDREN)):
        time.sleep(rng.uniform(0.3, 3))  # the random moment
        _kill(up, name)
    time.sleep(rng.uniform(0.3, 3))
    up.kill()
    time.sleep(rng.uniform(0, 2))
    assert _addresses(up.start()) == addresses
    load.finish()
    time.sleep(max(0.0, last_deadline(publisher.published) + 2.5 - time.time()))
    _wait_until_quiet(up)
    ledger = Ledger(up, publisher.published, time.time_ns() // 1_000_000)
    wrong = ledger.wrong()
    print(dict(ledger.topics.figures), "published", len(publisher.published))
    assert wrong == []
    assert len(publisher.published) > 1_500
    up.stop()


def _kill(up: Up, name: str) -> None:
    """Kill a child and wait until `up` has started another in its place."""
    victim = eventually(lambda: up.child(*CHILDREN[name]), 60, up.tail)
    print(f"kill -9 {name} {victim.pid}")
    victim.kill()

    def another() -> psutil.Process | None:
        found = up.child(*CHILDREN[name])
        return found if found is not None and found.pid != victim.pid else None

    eventually(another, 60, up.tail)


def _addresses(up: Up) -> tuple[str, str]:
    return up.facts["kafka"], up.facts["postgres"]


def _wait_until_quiet(up: Up) -> None:
    seen = {}

    def is_quiet() -> bool:
        seen.update(up.lags(CONNECTORS))
        return not any(seen.values())

    eventually(is_quiet, 120, lambda: f"{seen}\n{up.tail()}")
