"""What `up` began with it holds: two workers, the configuration that it read, and a ready file that tells the truth.

The tests stand in order: the last ones end the installation.
"""

import json
import signal

import pytest
from confluent_kafka.admin import AdminClient

from mainstem.supervisor import MAX_FAILURES
from schemas.errors import ConfigError
from tests.acceptance.running import Up, run, write_config
from tests.patience import eventually

CONFIG = {
    "processor": {"workers": 2},
    "merge": {"revision": 5},
    "connectors": [
        {"connector_id": "pay", "type": "external"},
        {"connector_id": "yard", "type": "git", "connection": {"path": "yard"}},
    ],
}
NAMES = 24
"""So many entities that every partition has some."""


@pytest.fixture(scope="module")
def up():
    installation = Up(CONFIG)
    (installation.home / "yard").mkdir()
    try:
        installation.start()
        yield installation
    finally:
        installation.close()


def _component(name):
    return {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-pay"},
    }


def _publish(up, prefix):
    """Publish as many entities as reach every partition; return a function that tells how many of them arrived."""
    send = up.sender()
    refs = [f"component:default/{prefix}-{number}" for number in range(NAMES)]
    partitions = {send("pay", {"entity": _component(ref.partition("/")[2])}, ref.encode()).partition for ref in refs}
    assert partitions == set(range(up.topics.partitions))
    query = "SELECT count(*) AS found FROM entities WHERE entity_ref = ANY(%(refs)s) AND deleted_at IS NULL"
    return lambda: up.rows(query, refs=refs)[0]["found"]


def _assignments(up):
    """Return the partitions of the changes topic `pay` that each worker has, by its instance."""
    group = up.topics.processor_group
    admin = AdminClient({"bootstrap.servers": up.facts["kafka"]})
    members = admin.describe_consumer_groups([group])[group].result(timeout=20).members
    return {
        member.group_instance_id.removeprefix(f"{group}-")[0]: sorted(
            each.partition for each in member.assignment.topic_partitions if each.topic == up.topics.changes("pay")
        )
        for member in members
    }


def test_two_workers_share_the_partitions_and_every_entity_arrives(up):
    arrived = _publish(up, "shared")
    eventually(lambda: arrived() == NAMES, 60, up.tail)
    eventually(lambda: sorted(map(len, _assignments(up).values())) == [2, 2], 60, lambda: str(_assignments(up)))
    assert sorted(_assignments(up)) == ["0", "1"]


def test_a_worker_that_stands_still_is_replaced_by_the_other(up):
    stopped = up.child("processor", "0")
    stopped.suspend()
    try:
        arrived = _publish(up, "taken-over")
        eventually(lambda: arrived() == NAMES, 60, up.tail)
        assert up.child("processor", "0").pid == stopped.pid
    finally:
        stopped.resume()


def test_a_file_that_is_half_edited_takes_no_role_down(up):
    before = up.config_file.read_text()
    up.config_file.write_text("connectors:\n  - connector_id: [pa")
    try:
        for name in (("sinks", "postgres"), ("processor", "1"), ("connectors",)):
            up.child(*name).kill()
        (up.home / "yard" / "catalog.yaml").write_text(json.dumps(_component("found-later")))
        arrived = _publish(up, "edited")
        eventually(lambda: arrived() == NAMES, 60, up.tail)
        found = up.entity("component:default/found-later")
    finally:
        up.config_file.write_text(before)
    assert found["provenance"]["/kind"] == "yard"


def test_the_copy_of_the_configuration_is_for_its_owner_alone(up):
    kept = up.data_dir / "config"
    assert [each.stat().st_mode & 0o077 for each in (kept, kept / "mainstem.yaml")] == [0, 0]


def test_a_command_that_is_told_the_data_directory_alone_knows_the_connectors(up):
    told = run("connectors", "list", "--json", "--data-dir", str(up.data_dir), cwd=up.home / "yard")
    assert ([json.loads(line)["connector_id"] for line in told.stdout.splitlines()], told.stderr) == (
        ["pay", "yard"],
        "",
    )


def test_a_connector_that_is_configured_while_it_runs_is_told_of(up):
    late = {**CONFIG, "connectors": [*CONFIG["connectors"], {"connector_id": "late", "type": "external"}]}
    file = write_config(up.home / "late.yaml", late)
    told = run("connectors", "list", "--config", str(file), "--data-dir", str(up.data_dir)).stderr
    assert told.count("connector ") == told.count("the running `up` does not know connector late") == 1


def test_once_it_ended_it_says_so_and_the_ready_file_and_the_copy_are_gone(up):
    was_there = up.ready_file.exists()
    up.stop(signal.SIGINT)
    left = [path.exists() for path in (up.ready_file, up.data_dir / "config", up.data_dir / "up.json")]
    last_line = json.loads(up.tail().splitlines()[-1])
    assert (was_there, left, last_line["event"]) == (True, [False, False, False], "up.ended")


def test_an_older_configuration_ends_it_at_once_with_the_roles_last_line(up):
    write_config(up.config_file, {**CONFIG, "merge": {"revision": 4}})
    up.ready_file.write_text("{}")
    up.launch()
    code = up.wait()
    said = up.tail().splitlines()[-1]
    failed = len(up.events("up.role_ended"))
    assert (code, up.ready_file.exists()) == (ConfigError.exit_code, False)
    assert said.startswith("mainstem: role processor-")
    assert "merge.revision: 4 is lower than 5" in said
    assert failed < MAX_FAILURES
