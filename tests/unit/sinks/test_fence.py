"""Whose records are those of a worker that had lost its partition."""

from confluent_kafka import TopicPartition

from schemas.codec import encode_entity, encode_records
from schemas.entities import MergedEntity
from schemas.records import Records
from schemas.topics import Topics
from sinks.base import Delivery
from sinks.fence import AHEAD_SECONDS, Fence
from sinks.placement import committing

TOPICS = Topics()
NOW = 1_800_000_000


def entity(epoch, counter=1, *, partition=0):
    merged = MergedEntity(
        tenant="default", entity_ref="component:default/pay", version=epoch << 20 | counter, content_hash="h",
        entity={}, service={}, provenance={}, change="created", changed=[""], stale=[], merged_at=NOW * 1000,
    )  # fmt: skip
    return delivery(encode_entity(merged), partition=partition)


def gone(version):
    return delivery(None, headers=[("version", version), ("reason", b"deleted")])


def state(epoch):
    return delivery(encode_records(Records(version=epoch << 20)), topic=TOPICS.changelog)


def delivery(value, *, topic=TOPICS.entities, partition=0, headers=()):
    return Delivery(
        topic=topic, partition=partition, offset=0, key=b"k", value=value, headers=list(headers), timestamp=NOW * 1000
    )


def judged(*deliveries, epochs=()):
    fence = Fence(TOPICS)
    fence.begin(dict(epochs))
    return [fence.is_late(each) for each in deliveries]


def test_a_lower_epoch_behind_a_higher_one_is_late():
    assert judged(entity(NOW), entity(NOW + 5), entity(NOW, 2), entity(NOW + 5)) == [False, False, True, False]


def test_within_an_epoch_nothing_is_late():
    assert judged(entity(NOW, 9), entity(NOW, 8)) == [False, False]


def test_each_partition_and_topic_is_judged_by_itself():
    assert judged(entity(NOW + 5), entity(NOW, partition=1), state(NOW), state(NOW - 1)) == [False] * 3 + [True]


def test_a_null_value_has_its_version_in_a_header():
    assert judged(entity(NOW + 5), gone(b"%d" % (NOW << 20)), gone(b"%d" % (NOW + 6 << 20)), entity(NOW + 5)) == [
        False,
        True,
        False,
        True,
    ]


def test_what_no_processor_wrote_is_left_to_the_sink_and_judges_nobody():
    impossible = entity(NOW + AHEAD_SECONDS + 1)
    foreign = [delivery(b""), delivery(b"poison" * 9), gone(b"-7"), gone(b""), delivery(b"\xff" * 40), impossible]
    assert judged(*foreign, entity(NOW)) == [False] * 7


def test_where_reading_goes_on_the_epoch_before_counts():
    at = (TOPICS.entities, 0)
    assert judged(entity(NOW), epochs={at: NOW + 1}) == [True]
    assert committing({at: 7}, {at: NOW})[0].metadata == f"epoch={NOW}"
    assert committing({at: 7}, {}) == [TopicPartition(*at, 7)]
