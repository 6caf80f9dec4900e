"""Where data directories do not survive, another worker keeps a copy of each partition."""

from pathlib import Path

import pytest
import rocksdict

from tests.integration.installation import Installation, component
from tests.integration.kill.process import WorkerProcess

NAMES = [f"svc-{number}" for number in range(60)]


@pytest.fixture
def two(kafka):
    """Yield an installation and its second worker; neither worker runs yet."""
    installation = Installation(kafka, {"git": {"priority": 50}, "cmdb": {"priority": 60}})
    installation.worker.settings["standbys"] = 1
    second = WorkerProcess(installation.worker.settings, installation.worker.directory.with_name("second"))
    yield installation, second
    second.kill()
    installation.close()


def test_what_a_worker_held_lies_with_another_one_before_it_is_gone(two):
    own, second = two
    own.worker.start()
    second.start()
    for worker in (own.worker, second):
        own.eventually(lambda worker=worker: "processor.partitions_begun" in worker.output(), 60)
    for name in NAMES:
        own.queue("git", component(name, spec={"owner": "git"}))
    own.flush()
    own.settle()
    for worker in (own.worker, second):
        own.eventually(lambda worker=worker: copied(worker.data_dir) == {f"component:default/{name}" for name in NAMES})
    own.worker.kill()
    for name in NAMES:
        own.queue("cmdb", component(name, service={"tier": "tier1"}))
    own.flush()
    own.settle()
    newest = {name: own.writes(name)[-1] for name in NAMES[:8]}
    assert {entity.entity["spec"]["owner"] for entity in newest.values()} == {"git"}
    assert {entity.service["tier"] for entity in newest.values()} == {"tier1"}
    second.stop()


def copied(data_dir: Path) -> set[str]:
    """Return the keys of all partitions that lie in *data_dir*, as another process may look at them."""
    found = set()
    for path in data_dir.glob("*/tables/records-*.db"):
        store = rocksdict.Rdict(
            str(path), rocksdict.Options(raw_mode=True), access_type=rocksdict.AccessType.read_only()
        )
        found |= {key.decode() for key, _ in store.items() if key.startswith(b"component:")}
        store.close()
    return found
