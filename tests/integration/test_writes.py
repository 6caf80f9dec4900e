"""What the processor writes: answered for by the broker, in order, before anything counts as done."""

import shutil
import struct

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.codec import decode_entity, decode_records
from tests.integration.installation import Installation, component
from tests.integration.kill.kafka_io import partition_of, remaining
from tests.topics import configure

TOO_SMALL = 400
"""Bytes that a topic takes at most: less than a state or an entity of a test, more than an epoch."""
TEXT = "a text that is longer than what the topic takes " * 20


@pytest.fixture
def own(kafka):
    """Yield an installation of the test's own, whose worker does not run yet."""
    installation = Installation(kafka, {"git": {"priority": 50}, "cmdb": {"priority": 60}})
    yield installation
    installation.close()


def limit(own, topic, size):
    """Have the broker refuse records above *size* bytes."""
    configure(AdminClient({"bootstrap.servers": own.bootstrap}), topic, "max.message.bytes", size)


def states(own, name):
    key = f"component:default/{name}".encode()
    return [decode_records(each.value()) for each in own.read(own.topics.changelog) if each.key() == key]


def wait_until_settled_in(own):
    """Wait until the worker has noted its policy in each partition: it writes nothing more by itself."""
    own.worker.wait_until_working(90)
    own.eventually(lambda: own.worker.output().count("processor.rollout_ended") == own.topics.partitions, 60)


def is_waiting(own):
    return remaining(own.bootstrap, own.topics, own.connectors) > 0


def test_an_entity_that_the_broker_refuses_is_no_state_and_its_change_is_not_committed(own):
    limit(own, own.topics.entities, TOO_SMALL)
    own.put("git", component("refused", service={"text": TEXT}))
    own.worker.start()
    own.worker.wait_until_ended()
    assert (own.writes("refused"), states(own, "refused"), is_waiting(own)) == ([], [], True)
    limit(own, own.topics.entities, 8_000_000)
    own.worker.start()
    assert own.entity("refused").service == {"text": TEXT}
    own.settle()


def test_a_state_that_the_broker_refuses_is_held_nowhere(own):
    own.worker.start()
    wait_until_settled_in(own)
    limit(own, own.topics.changelog, TOO_SMALL)
    own.put("git", component("stateless", service={"text": TEXT}))
    own.worker.wait_until_ended()
    assert (states(own, "stateless"), is_waiting(own)) == ([], True)
    limit(own, own.topics.changelog, 8_000_000)
    own.worker.start()
    own.settle()
    assert [list(each.by_connector) for each in states(own, "stateless")] == [["git"]]


def test_what_was_published_without_becoming_state_is_made_good(own):
    own.worker.start()
    wait_until_settled_in(own)
    limit(own, own.topics.changelog, TOO_SMALL)
    own.put("git", component("orphan", service={"text": TEXT}))
    own.worker.wait_until_ended()
    assert (len(own.writes("orphan")), states(own, "orphan"), is_waiting(own)) == (1, [], True)
    limit(own, own.topics.changelog, 8_000_000)
    shutil.rmtree(own.worker.data_dir)  # where it is kept which record may have ended it, to be merged alone
    # Nothing that is held knows of what was published: it must be ended all the same.
    own.put("git", {"op": "delete", "entityRef": "component:default/orphan"})
    own.worker.start()
    own.settle()
    *_, last = own.read(own.topics.entities)
    assert last.value() is None


def test_what_several_connectors_say_at_once_is_all_merged(kafka):
    """The runs of several topics are in flight together: each builds on what is not answered yet."""
    connectors = {f"part-{number}": {"priority": number} for number in range(6)}
    own = Installation(kafka, connectors)
    names = [f"together-{number}" for number in range(200)]
    for name in names:
        for connector in connectors:
            own.queue(connector, component(name, spec={connector: "said"}))
    own.flush()
    try:
        own.worker.start()
        own.settle()
        last = {each.key(): decode_entity(each.value()) for each in own.read(own.topics.entities)}
    finally:
        own.close()
    assert {key: sorted(each.entity["spec"]) for key, each in last.items()} == {
        f"component:default/{name}".encode(): sorted(connectors) for name in names
    }


def test_what_retention_took_away_unread_is_told_and_the_rest_is_merged(own):
    topic, key = own.topics.changes("git"), b"component:default/expired"
    for version in range(10):
        own.put("git", component("expired", spec={"owner": "a"}, version=version))
    own.worker.start()
    own.settle()
    own.worker.stop()
    sent = [own.put("git", component("expired", spec={"owner": "b"}, version=10 + each)) for each in range(5)]
    kept = TopicPartition(topic, partition_of(key, 4), sent[-1].offset)
    admin = AdminClient({"bootstrap.servers": own.bootstrap})
    admin.delete_records([kept])[kept].result(20)
    own.worker.start()
    own.settle()
    assert own.writes("expired")[-1].entity["spec"] == {"owner": "b"}
    assert own.worker.stop()["records"] == 1
    (told,) = (line for line in own.worker.output().splitlines() if "processor.records_expired_unread" in line)
    assert f'"lost_from":{sent[0].offset},"lost_to":{sent[-1].offset - 1}' in told.replace(" ", "")


def test_what_nobody_expected_in_a_merge_ends_the_worker_and_nothing_is_committed(own):
    own.worker.settings["broken"] = "broken"
    own.put("git", component("broken"))
    own.worker.start()
    assert "ZeroDivisionError" in own.worker.wait_until_ended()
    assert is_waiting(own)


def test_a_state_that_nobody_can_read_ends_the_worker_and_nothing_is_committed(own):
    wire_id_of_records = b"\x00" + struct.pack(">I", 3)
    own.put("git", component("unreadable"))
    own.write(own.topics.changelog, wire_id_of_records + b"\x02\xff\xff", b"component:default/unreadable")
    own.worker.start()
    own.worker.wait_until_ended()
    assert is_waiting(own)
