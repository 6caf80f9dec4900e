"""What a worker that was cut off wrote late, behind the records of its successor."""

from dataclasses import replace

import pytest

from schemas.codec import decode_entity, decode_records, encode_records, records_version
from tests.integration.installation import Installation, component
from tests.integration.kill.kafka_io import partition_of

HAUNTED = b"component:default/haunted"
NAMES = [f"svc-{number}" for number in range(100)]


@pytest.fixture
def own(kafka):
    """Yield an installation of the test's own, whose worker does not run yet."""
    installation = Installation(kafka, {"git": {"priority": 50}, "cmdb": {"priority": 60}})
    yield installation
    installation.close()


def test_what_a_worker_that_was_cut_off_wrote_late_is_overwritten(own):
    own.worker.start()
    own.put("git", component("haunted", spec={"owner": "old"}))
    own.put("git", component("deleted", spec={"owner": "old"}))
    own.entity("deleted")
    own.put("git", component("haunted", spec={"owner": "new"}))
    own.put("git", {"op": "delete", "entityRef": "component:default/deleted"})
    own.eventually(lambda: len(own.writes("haunted")) == 2 and len(own.writes("deleted")) == 2)
    own.settle()
    for topic in (own.topics.entities, own.topics.changelog):
        for name in ("haunted", "deleted"):
            key = f"component:default/{name}".encode()
            late = next(message for message in own.read(topic) if message.key() == key)
            own.write(topic, late.value(), key, headers=late.headers())
    own.eventually(lambda: [entity.entity["spec"]["owner"] for entity in newest(own).values()] == ["new"])
    own.eventually(lambda: dict(versions(own)) == dict(sorted(versions(own), key=lambda each: each[1])))


def test_what_was_written_late_just_before_an_owner_leaves_is_overwritten_by_the_next_one(own):
    own.worker.start()
    own.put("git", component("haunted", spec={"owner": "old"}))
    own.entity("haunted")
    own.put("git", component("haunted", spec={"owner": "new"}))
    own.eventually(lambda: len(own.writes("haunted")) == 2)
    own.settle()
    key = b"component:default/haunted"
    late = next(message for message in own.read(own.topics.entities) if message.key() == key)
    own.write(own.topics.entities, late.value(), key)
    own.worker.stop()
    own.worker.start()
    own.eventually(lambda: [entity.entity["spec"]["owner"] for entity in newest(own).values()] == ["new"])


def test_what_was_written_late_between_two_owners_is_overwritten_by_the_next_one(own):
    entity, _ = wait_until_changed(own)
    elsewhere = next(name for name in NAMES if place(name) != place("haunted"))
    for owner in ("old", "new"):
        own.put("git", component(elsewhere, spec={"owner": owner}))
        own.settle()
    state = next(each for each in own.read(own.topics.changelog) if each.key() == key_of(elsewhere))
    own.worker.stop()
    own.write(own.topics.entities, entity.value(), HAUNTED)
    own.write(own.topics.changelog, state.value(), state.key())
    own.worker.start()
    own.eventually(lambda: [entity.entity["spec"]["owner"] for entity in newest(own).values()] == ["new", "new"])
    own.eventually(lambda: dict(versions(own)) == dict(sorted(versions(own), key=lambda each: each[1])))


def test_whoever_wrote_late_does_not_take_what_its_successor_wrote_meanwhile_as_read(own):
    """Its store then holds its own record, behind those of its successor in the log, and none of theirs."""
    wait_until_changed(own)
    own.settle()
    old, new = (decode_records(each.value()) for each in states(own))
    of_the_successor = replace(old, version=new.version + (100 << 20))
    own.write(own.topics.changelog, encode_records(of_the_successor), HAUNTED)
    own.put("git", component(next(name for name in NAMES if place(name) == place("haunted"))))
    own.settle()
    own.worker.kill()
    own.worker.start()
    own.put("cmdb", component("haunted", service={"tier": "tier1"}))
    own.eventually(lambda: own.writes("haunted")[-1].service == {"tier": "tier1"})
    assert own.writes("haunted")[-1].entity["spec"] == {"owner": "old"}


def wait_until_changed(installation):
    """Have an entity changed once; return both of its records."""
    installation.worker.start()
    installation.put("git", component("haunted", spec={"owner": "old"}))
    installation.entity("haunted")
    installation.put("git", component("haunted", spec={"owner": "new"}))
    installation.eventually(lambda: len(installation.writes("haunted")) == 2)
    installation.settle()
    return [each for each in installation.read(installation.topics.entities) if each.key() == HAUNTED]


def key_of(name):
    return f"component:default/{name}".encode()


def place(name):
    """Return the partition of the component of that name."""
    return partition_of(key_of(name), 4)


def states(installation):
    return [each for each in installation.read(installation.topics.changelog) if each.key() == HAUNTED]


def versions(installation):
    """Return (key, version) of all that the changelog holds, in order: the last of a key is what compaction keeps."""
    read = installation.read(installation.topics.changelog)
    return [(each.key(), records_version(each.value())) for each in read if each.key().startswith(b"component")]


def newest(installation):
    """Return what a reader of the compacted topic sees."""
    found = {each.key(): each.value() for each in installation.read(installation.topics.entities)}
    return {key: decode_entity(value) for key, value in found.items() if value is not None}
