"""The incidents sink, and the runner around any sink, on a real Kafka."""

import threading
import time
from collections.abc import Sequence

import orjson
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from prometheus_client import CollectorRegistry

from schemas.errors import Retriable, Skippable, TopicMismatchError
from schemas.metrics import SinkMetrics
from schemas.topics import Topics
from sinks.base import Delivery, Positions, Sink, SinkSettings
from sinks.incidents import IncidentsSink
from sinks.runner import SinkRunner
from tests.patience import granted
from tests.topics import configure

PAY = "component:default/pay"


class ListSink(Sink):
    """A third party's sink: keeps what it is given, and is away whenever it is told to be."""

    def __init__(self, settings: SinkSettings) -> None:
        super().__init__(settings)
        self.away = threading.Event()
        self.kept: list[bytes] = []
        self.refused: set[int] = set()
        """The partitions of the batch that was given last while it was away."""

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        del positions
        if self.away.is_set():
            self.refused = {delivery.partition for delivery in batch}
            raise Retriable("away")
        if any(delivery.value == b"poison" for delivery in batch):
            raise Skippable("poison")
        self.kept += [delivery.key for delivery in batch]


class BrokenSink(ListSink):
    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        del batch, positions
        raise ZeroDivisionError


def committed(stage, sink):
    at = [TopicPartition(stage.topics.entities, number) for number in range(stage.topics.partitions)]
    asked = ConsumerGroupTopicPartitions(f"{stage.topics.prefix}-sink-{sink}", at)
    answers = stage.admin.list_consumer_group_offsets([asked])
    (found,) = [answer.result(20) for answer in answers.values()]
    return sum(max(0, partition.offset) for partition in found.topic_partitions)


def test_events_come_in_rising_version_on_the_partition_of_their_key(stage, entity):
    refs = [f"component:default/e{number}" for number in range(10)]
    for version in (1, 2, 3):
        for ref in refs:
            stage.upsert(entity(ref, version))
    stage.start(IncidentsSink(stage.settings("incidents")))
    found = stage.read(stage.topics.service_updated, 30)
    origin = {message.key(): message.partition() for message in stage.read(stage.topics.entities, 30)}
    assert {message.key(): message.partition() for message in found} == origin
    seen = {}
    for message in found:
        seen.setdefault(message.key().decode(), []).append(orjson.loads(message.value())["version"])
    assert seen == {ref: [1, 2, 3] for ref in refs}


def test_only_changed_content_and_ends_are_told_and_offsets_follow_the_answers(stage, entity, eventually):
    stage.upsert(entity(PAY, 1))
    stage.upsert(entity(PAY, 2, change="updated", changed=[]))
    stage.upsert(entity("group:default/team", 3))
    stage.vanish(PAY, 4)
    running = stage.start(IncidentsSink(stage.settings("incidents")))
    found = [orjson.loads(message.value()) for message in stage.read(stage.topics.service_updated, 2)]
    assert [(event["version"], event["change"]) for event in found] == [(1, "created"), (4, "deleted")]
    eventually(lambda: committed(stage, "incidents") == 4)
    assert running.stop() is None
    again = stage.start(IncidentsSink(stage.settings("incidents")))
    stage.vanish(PAY, 5)
    assert len(stage.read(stage.topics.service_updated, 3)) == 3
    assert again.stop() is None
    assert stage.ends(stage.topics.service_updated) == 3


def test_what_a_worker_wrote_after_it_had_lost_its_partition_is_told_to_nobody(stage, entity, eventually):
    old, new = (int(time.time()) + epoch << 20 for epoch in (0, 9))
    stage.upsert(entity(PAY, old + 1))
    stage.upsert(entity(PAY, new + 1, service={"tier": 1}))
    stage.upsert(entity(PAY, old + 2))
    for version, late in ((new + 2, old + 3), (new + 3, old + 4)):
        running = stage.start(IncidentsSink(stage.settings("incidents")))
        eventually(lambda running=running: running.total("mainstem_sink_late_records_total") == 1)
        stage.upsert(entity(PAY, version, service={"tier": version}))
        # A position is committed behind all that is there: what comes next is the first that the next process reads.
        eventually(lambda: committed(stage, "incidents") == stage.ends(stage.topics.entities))
        assert running.stop() is None
        stage.upsert(entity(PAY, late))
    found = [orjson.loads(message.value())["version"] for message in stage.read(stage.topics.service_updated, 4)]
    assert found == [old + 1, new + 1, new + 2, new + 3]


def test_a_repeat_has_the_same_id_and_the_same_data(stage, entity):
    stage.upsert(entity(PAY, 1, service={"tier": 1, "a": [1.5, None]}))
    first = stage.start(IncidentsSink(stage.settings("incidents")))
    stage.read(stage.topics.service_updated, 1)
    first.stop()
    stage.forget_group("incidents")
    stage.start(IncidentsSink(stage.settings("incidents")))
    one, other = stage.read(stage.topics.service_updated, 2)
    assert (one.key(), one.value(), one.headers()) == (other.key(), other.value(), other.headers())


def test_a_foreign_tombstone_is_set_aside_and_the_rest_is_told(stage, entity):
    stage.publish(stage.topics.entities, PAY.encode(), None)
    stage.upsert(entity(PAY, 2))
    stage.start(IncidentsSink(stage.settings("incidents")))
    (letter,) = stage.read(stage.topics.dead_letters, 1)
    (event,) = stage.read(stage.topics.service_updated, 1)
    assert (letter.key(), letter.value(), dict(letter.headers())["mainstem-stage"], dict(event.headers())["ce_id"]) == (
        PAY.encode(),
        None,
        b"sink:incidents",
        f"{PAY}@2".encode(),
    )


def test_a_system_that_is_away_is_waited_for_and_its_position_does_not_move(stage, eventually):
    sink = ListSink(stage.settings("list"))
    sink.away.set()
    running = stage.start(sink)
    keys = [b"k%d" % number for number in range(50)]
    for key in keys:
        stage.publish(stage.topics.entities, key, b"value")
    eventually(lambda: running.total("mainstem_sink_retries_total") >= 4)
    assert committed(stage, "list") == 0
    sink.away.clear()
    eventually(lambda: sorted(sink.kept) == sorted(keys))
    eventually(lambda: running.total("mainstem_sink_lag") == 0 and committed(stage, "list") == 50)
    assert running.stop() is None


def test_a_sink_that_is_away_ends_at_once_when_told(stage, eventually):
    sink = ListSink(stage.settings("list"))
    sink.away.set()
    running = stage.start(sink)
    stage.publish(stage.topics.entities, b"k", b"value")
    eventually(lambda: running.total("mainstem_sink_retries_total") >= 5)
    began = granted()
    assert running.stop() is None
    assert granted() - began < 3


def test_what_nobody_classified_ends_the_process_and_commits_nothing(stage):
    running = stage.start(BrokenSink(stage.settings("broken")))
    stage.publish(stage.topics.entities, b"k", b"value")
    assert isinstance(running.ended(), ZeroDivisionError)
    assert committed(stage, "broken") == 0


def test_no_record_is_lost_when_processes_come_and_go(stage, eventually):
    sinks = [ListSink(stage.settings("list")) for _ in range(3)]
    sinks[1].away.set()
    first = stage.start(sinks[0])
    keys = [b"k%d" % number for number in range(600)]
    for number, key in enumerate(keys):
        stage.publish(stage.topics.entities, key, b"poison" if number % 100 == 50 else b"value")
        if number == 150:
            second = stage.start(sinks[1])
        if number == 300:
            first.stop()
            sinks[1].away.clear()
        if number == 450:
            stage.start(sinks[2])
            second.stop()
    good = {key for number, key in enumerate(keys) if number % 100 != 50}
    eventually(lambda: {key for sink in sinks for key in sink.kept} == good)
    assert {message.key() for message in stage.read(stage.topics.dead_letters, 6)} == set(keys) - good


def test_what_was_in_flight_at_a_rebalance_is_left_to_its_new_owner(stage, eventually):
    away, there = [ListSink(stage.settings("list")) for _ in range(2)]
    keys = [b"k%d" % number for number in range(80)]
    for key in keys:
        stage.publish(stage.topics.entities, key, b"value")
    away.away.set()
    first = stage.start(away)
    eventually(lambda: away.refused != set())
    while away.refused != {0, 1}:  # of what is in flight a part must go, whichever partition that will be
        first.stop()
        away.refused = set()
        first = stage.start(away)
        eventually(lambda: away.refused != set())
    stage.start(there)
    eventually(lambda: there.kept != [])
    away.away.clear()
    eventually(lambda: set(away.kept + there.kept) == set(keys))
    assert first.stop() is None
    assert sorted(away.kept + there.kept) == sorted(keys)


def test_a_topic_that_takes_too_little_ends_the_sink_and_no_event_is_set_aside(stage, entity):
    configure(stage.admin, stage.topics.service_updated, "max.message.bytes", 120)
    stage.upsert(entity(PAY, 1))
    running = stage.start(IncidentsSink(stage.settings("incidents")))
    assert isinstance(running.ended(), TopicMismatchError)
    stage.running.remove(running)
    assert (stage.ends(stage.topics.dead_letters), committed(stage, "incidents")) == (0, 0)


def test_a_topic_that_is_missing_ends_the_sink_with_what_to_do(kafka):
    settings = SinkSettings(name="list", client={"bootstrap.servers": kafka}, topics=Topics(prefix="nowhere"))
    with pytest.raises(TopicMismatchError, match="mainstem topics create"):
        SinkRunner(ListSink(settings), metrics=SinkMetrics("list", CollectorRegistry())).run(threading.Event())
