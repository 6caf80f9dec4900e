"""Two workers under SIGSTOP beyond the session timeout, kill -9 and joins, while changes come in."""

import random
import shutil
import signal
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from mainstem.cluster import Cluster
from schemas.topics import Topics
from tests.integration.kill.changes import CONNECTORS, POLICY, draw, last_deadline
from tests.integration.kill.checks import Checks
from tests.integration.kill.kafka_io import Publisher, remaining
from tests.integration.kill.process import WorkerProcess
from tests.patience import granted

PARTITIONS = 8
SESSION_TIMEOUT = 6.0
STOPPED_SECONDS = 9.0
"""Longer than the session timeout: the group has given the partitions away when the worker wakes."""
CAUGHT_UP_SECONDS = 120.0


@dataclass
class Outcome:
    """What one round came to: sentences about what is wrong, and figures."""

    wrong: list[str]
    figures: Counter[str]
    endings: list[str]


def run(bootstrap: str, *, seed: int, count: int, rate: float) -> Outcome:
    """Publish *count* changes while workers are stopped, killed and joined; check what has become of them."""
    rng = random.Random(seed)
    topics = Topics(prefix=f"kill-{uuid.uuid4().hex[:8]}", partitions=PARTITIONS, replication_factor=1)
    Cluster({"bootstrap.servers": bootstrap}).create(topics.definitions(CONNECTORS))
    home = Path(tempfile.mkdtemp(prefix="kill-"))
    policies = {name: asdict(policy) for name, policy in POLICY.connectors.items()}
    settings = {"bootstrap": bootstrap, "prefix": topics.prefix, "partitions": PARTITIONS,
                "session_timeout": SESSION_TIMEOUT, "connectors": policies}  # fmt: skip
    workers = [WorkerProcess(settings, home / name) for name in ("a", "b")]
    begin_ms = time.time_ns() // 1_000_000
    publisher = Publisher(bootstrap, topics, draw(seed, count, begin_ms))
    try:
        _harass(rng, workers, publisher, count, rate)
        caught_up_after = _catch_up(bootstrap, topics, workers)
        # Every boundary takes effect within 2 s; the machine may be slow.
        time.sleep(max(2.5, last_deadline(begin_ms, count) / 1000 + 2.5 - time.time()))
        counted = [worker.stop() for worker in workers]
        checks = Checks(bootstrap, topics, publisher.published, time.time_ns() // 1_000_000)
        wrong = [*_accounting(counted), *checks.all()]
    finally:
        for worker in workers:
            worker.kill()
    checks.figures["published"] = len(publisher.published)
    checks.figures["caught up after s"] = round(caught_up_after)
    shutil.rmtree(home)
    return Outcome(wrong, checks.figures, [text for worker in workers for text in worker.endings])


def _harass(rng: random.Random, workers: list[WorkerProcess], publisher: Publisher, count: int, rate: float) -> None:
    fifth = count // 5
    first, second = workers if rng.random() < 0.5 else reversed(workers)
    first.start()
    time.sleep(rng.uniform(2, 4))
    publisher.publish(fifth, rate)
    second.start()  # joins under load
    publisher.publish(fifth, rate)
    stopped, killed = rng.sample(workers, 2)
    stopped.signal(signal.SIGSTOP)
    woken = time.monotonic() + STOPPED_SECONDS
    publisher.publish(fifth, rate)
    time.sleep(max(0.0, woken - time.monotonic()) + rng.uniform(0, 2))
    stopped.signal(signal.SIGCONT)  # a zombie: others have its partitions
    publisher.publish(fifth // 2, rate)
    stopped.restart_if_ended()
    publisher.publish(fifth // 2, rate)
    stopped.restart_if_ended()
    killed.kill()
    if rng.random() < 0.5:
        shutil.rmtree(killed.data_dir)
    time.sleep(rng.uniform(0, 1.5))
    killed.start()
    publisher.publish(count - len(publisher.published), rate)


def _catch_up(bootstrap: str, topics: Topics, workers: list[WorkerProcess]) -> float:
    begin, left = granted(), -1
    while granted() - begin < CAUGHT_UP_SECONDS:
        left = remaining(bootstrap, topics, CONNECTORS)
        if left == 0:
            return granted() - begin
        for worker in workers:
            worker.restart_if_ended()
        time.sleep(0.3)
    texts = "\n".join(worker.output()[-2000:] for worker in workers)
    raise AssertionError(f"{left} records are not committed after {CAUGHT_UP_SECONDS} s:\n{texts}")


def _accounting(counted: list[dict[str, int]]) -> list[str]:
    """Of each worker's last life: records = merged + superseded + forwarded + dead-lettered + control."""
    return [
        f"accounting: {each}"
        for each in counted
        if each and each["records"] != sum(value for name, value in each.items() if name != "records")
    ]
