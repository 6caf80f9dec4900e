"""Changes topics that are made while `up` runs: read soon, and never a reason to stop."""

import json
import signal

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.acceptance.running import Up
from tests.patience import eventually, granted


@pytest.fixture(scope="module")
def up():
    """Yield an installation of this file's own: a bad topic stays bad. Ended by Ctrl-C."""
    installation = Up({"connectors": [{"connector_id": "early", "type": "external"}]})
    try:
        yield installation.start()
        installation.stop(signal.SIGINT)
    finally:
        installation.close()


def _publish(up, connector, name):
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name}}
    document = json.dumps({**entity, "spec": {"type": "service", "lifecycle": "production", "owner": connector}})
    ended = up.run("publish", "--connector", connector, "-", input=document)
    assert (ended.returncode, ended.stderr) == (0, "")
    return f"component:default/{name}"


def test_a_topic_made_later_is_read_within_a_minute(up):
    assert up.run("topics", "create", "--connector", "late").returncode == 0
    begin = granted()
    ref = _publish(up, "late", "by-late")
    assert up.entity(ref, seconds=60)["provenance"]["/kind"] == "late"
    assert granted() - begin < 60
    assert up.events("up.role_ended") == []


def test_of_a_topic_made_later_the_log_tells_by_an_event_alone(up):
    lines = up.log_file.read_text().splitlines()
    assert [each["topics"] for each in up.events("processor.topics_added")] == [["mainstem.changes.late"]]
    assert [line for line in lines if line.startswith("mainstem: ")] == []


def test_a_badly_partitioned_topic_does_not_stop_the_others(up):
    _create(up, "bad-one", 3)
    eventually(lambda: up.events("processor.topic_unusable"), 60, up.tail)
    assert up.entity(_publish(up, "early", "despite-one"))["deleted_at"] is None


def test_a_topic_made_after_a_badly_partitioned_one_is_read_too(up):
    _create(up, "bad-two", 3)
    eventually(lambda: "changes.bad-two" in str(up.events("processor.topic_unusable")), 60, up.tail)
    assert up.run("topics", "create", "--connector", "later-still").returncode == 0
    assert up.entity(_publish(up, "later-still", "despite-both"), seconds=90)["deleted_at"] is None
    assert up.entity(_publish(up, "early", "goes-on"))["deleted_at"] is None


def test_publish_to_a_badly_partitioned_topic_says_so(up):
    _create(up, "bad-three", 3)
    ended = up.run("publish", "--connector", "bad-three", "--delete", "component:default/any")
    assert ended.returncode == 1
    assert ended.stderr.startswith("mainstem: topic mainstem.changes.bad-three has 3 partitions, 4 are needed")


def test_a_good_topic_beside_a_bad_one_is_not_overlooked(up):
    _create(up, "bad-four", 3)
    assert up.run("topics", "create", "--connector", "beside").returncode == 0
    assert up.entity(_publish(up, "beside", "beside-it"), seconds=90)["deleted_at"] is None


def _create(up, connector, partitions):
    admin = AdminClient({"bootstrap.servers": up.facts["kafka"]})
    config = dict(up.topics.changes_definition(connector).config)
    (answer,) = admin.create_topics([NewTopic(up.topics.changes(connector), partitions, 1, config=config)]).values()
    answer.result(timeout=30)
