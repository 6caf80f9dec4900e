"""A connector's word about itself, on a real topic."""

import uuid

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME

from mainstem.cluster import Cluster
from schemas.changes import Control, Origin, read_change
from schemas.codec import decode_change
from schemas.errors import Retriable, TopicMismatchError
from schemas.topics import Topics
from sources.outages import announce
from tests.integration.kill.kafka_io import read_all

AT = 1_700_000_000_000


@pytest.mark.parametrize("op", ["outage", "recovered"])
def test_every_partition_of_the_topic_hears_of_it(kafka, op):
    topics = Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=5, replication_factor=1)
    Cluster({"bootstrap.servers": kafka}).create([topics.changes_definition("git")])

    told = announce({"bootstrap.servers": kafka}, topics.changes("git"), "git", op, AT)

    heard = {message.partition(): control(message) for message in read_all(kafka, topics.changes("git"), 5)}
    assert (5, dict.fromkeys(range(5), Control(op=op, connector="git", observed_at=AT))) == (told, heard)


def control(message):
    assert message.key() == b"git"
    assert message.timestamp()[0] == TIMESTAMP_CREATE_TIME
    return read_change(decode_change(message.value()), origin_of(message))


def origin_of(message):
    return Origin(connector="git", tenant="default", is_complete=True, timestamp=message.timestamp()[1], id="t/0/0")


def test_a_topic_that_does_not_exist_is_named_and_not_made(kafka):
    topic = f"t-{uuid.uuid4().hex[:8]}.changes.git"
    with pytest.raises(TopicMismatchError, match="topics create --connector git"):
        announce({"bootstrap.servers": kafka}, topic, "git", "outage", AT)
    assert topic not in Cluster({"bootstrap.servers": kafka}).topic_names()


def test_without_kafka_it_can_be_said_again_later():
    with pytest.raises(Retriable):
        announce({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, "t.changes.git", "git", "outage", AT)
