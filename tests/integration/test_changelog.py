"""What the processor holds about one entity, read from a real changelog topic."""

import uuid

import pytest
from confluent_kafka import Producer

from mainstem.changelog import held
from mainstem.cluster import Cluster
from schemas.changes import Control
from schemas.codec import encode_records
from schemas.records import Records
from schemas.topics import OUTAGES_KEY, Topics
from streams.outages import Outages
from tests.integration.kill.kafka_io import partition_of, produce_and_wait

KEY = b"component:default/pay"


@pytest.fixture
def changelog(kafka):
    """Return a function that writes (key, value, headers) in that order and reads what is held of KEY."""
    client = {"bootstrap.servers": kafka}
    topics = Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=4, replication_factor=1)
    Cluster(client).create(topics.definitions([]))
    producer = Producer(client)

    def read(*writes):
        for key, value, headers in writes:
            produce_and_wait(
                producer, topics.changelog, value, key, partition=partition_of(KEY, 4), headers=headers or None
            )
        return held(client, topics, KEY)

    return read


def state(version):
    return encode_records(Records(version=version))


def test_of_several_states_the_highest_version_counts(changelog):
    others = [(b"component:default/cart", state(9), []), (b"\0epoch", b"12", [])]

    assert changelog(*others) == (None, Outages())
    assert changelog((KEY, state(2), []), (KEY, state(3), []), (KEY, state(1), []), *others)[0].version == 3
    assert changelog((KEY, None, [("version", b"2")]))[0].version == 3
    assert changelog((KEY, None, [("version", b"4")]))[0] is None


def test_the_outages_of_which_the_partition_heard_come_with_it(changelog):
    said = Outages().heard(Control(connector="git", op="outage", observed_at=5))

    found = changelog((KEY, state(1), []), (OUTAGES_KEY, said.encode(2), []), (OUTAGES_KEY, Outages().encode(1), []))
    assert found[1].intervals == said.intervals != {}
