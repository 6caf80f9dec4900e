"""A sink reads partitions anew, and sweeps what it did not see, on a real Kafka and a real Postgres."""

import threading
from collections import Counter

import psycopg
import pytest
from confluent_kafka import TopicPartition
from psycopg import conninfo, sql

from mainstem.cluster import Cluster
from mainstem.rebuild import Rebuild
from schemas.errors import FencedError, UnavailableError
from sinks.incidents import IncidentsSink
from sinks.postgres.sink import PostgresSink
from tests.topics import configure

STALE = "UPDATE sink_offsets SET active_at = now() - interval '8 days'"


def rows(dsn, query, *values):
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def ref(name):
    return f"component:default/{name}"


def live(dsn):
    """Return the names of the entities that are there, and of those whose records are held."""
    entities = rows(dsn, "SELECT name FROM entities WHERE deleted_at IS NULL")
    records = rows(dsn, "SELECT DISTINCT split_part(entity_ref, '/', 2) FROM entity_records")
    return {name for (name,) in entities}, {name for (name,) in records}


def leave_behind(dsn, name):
    """Copy the row of e0, and those of its records, to an entity that no topic knows."""
    rows(
        dsn,
        "INSERT INTO entities (tenant, entity_ref, kind, namespace, name, entity, service, provenance, version,"
        " content_hash, merged_at) SELECT tenant, %s, kind, namespace, %s, entity, service, provenance, version,"
        " content_hash, merged_at FROM entities WHERE name = 'e0'",
        ref(name),
        name,
    )
    rows(
        dsn,
        "INSERT INTO entity_records SELECT (jsonb_populate_record(held, jsonb_build_object('id', gen_random_uuid(),"
        " 'entity_ref', %s::text))).* FROM entity_records AS held WHERE entity_ref = 'component:default/e0'",
        ref(name),
    )


def is_rebuilt(dsn):
    return rows(dsn, "SELECT (SELECT count(*) FROM sink_rebuilds), (SELECT count(*) FROM sink_seen)") == [(0, 0)]


@pytest.fixture
def projected(stage, dsn, entity, records, eventually):
    """Thirty entities with a record each, in the topics and in the tables; nothing runs."""
    for number in range(30):
        stage.upsert(entity(ref(f"e{number}"), number + 1, service={"tier": number}))
        stage.hold(ref(f"e{number}"), records(number + 1, "git"))
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: [len(each) for each in live(dsn)] == [30, 30])
    assert running.stop() is None
    return {f"e{number}" for number in range(30)}


def rebuild(stage, dsn):
    work = Rebuild(stage.settings("postgres", dsn), Cluster({"bootstrap.servers": stage.bootstrap}))
    shown = []
    read = work.run(lambda done, total: shown.append((done, total)))
    return read, shown[-1]


def test_a_rebuild_brings_back_mends_and_sweeps(stage, dsn, projected):
    leave_behind(dsn, "ghost")
    rows(dsn, "DELETE FROM entities WHERE name IN ('e1', 'e2')")
    rows(dsn, "DELETE FROM entity_records WHERE entity_ref = %s", ref("e3"))
    rows(dsn, "UPDATE entities SET service = '{}' WHERE name = 'e4'")
    rows(dsn, "UPDATE entity_records SET metadata = '{}' WHERE entity_ref = %s", ref("e5"))
    assert rebuild(stage, dsn) == (60, (60, 60))
    assert live(dsn) == (projected, projected)
    assert rows(dsn, "SELECT service FROM entities WHERE name = 'e4'") == [({"tier": 4},)]
    assert rows(dsn, "SELECT metadata FROM entity_records WHERE entity_ref = %s", ref("e5")) == [({"name": "pay"},)]
    assert is_rebuilt(dsn)


def test_a_rebuild_is_carried_out_while_the_sink_runs_and_it_goes_on(stage, dsn, entity, projected, eventually):
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    stage.upsert(entity(ref("before"), 100))
    eventually(lambda: "before" in live(dsn)[0])
    leave_behind(dsn, "ghost")
    rebuild(stage, dsn)
    assert live(dsn) == (projected | {"before"}, projected)
    stage.upsert(entity(ref("after"), 101))
    eventually(lambda: "after" in live(dsn)[0])
    assert running.stop() is None


def test_what_is_written_during_a_rebuild_stays(stage, dsn, entity, projected):
    leave_behind(dsn, "ghost")
    stop = threading.Event()

    def keep_writing():
        number = 100
        while not stop.is_set():
            stage.upsert(entity(ref(f"e{number % 30}"), number))
            number += 1

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        rebuild(stage, dsn)
    finally:
        stop.set()
        writer.join()
    assert live(dsn) == (projected, projected)


def test_a_rebuild_of_a_sink_that_leaves_its_positions_to_kafka_sends_all_again(stage, entity, eventually):
    for number in range(5):
        stage.upsert(entity(ref(f"e{number}"), number + 1))
    settings = stage.settings("incidents")
    running = stage.start(IncidentsSink(settings))
    eventually(lambda: stage.ends(stage.topics.service_updated) == 5)
    cluster = Cluster({"bootstrap.servers": stage.bootstrap})
    with pytest.raises(UnavailableError, match=r"the sink incidents runs: .* stop it"):
        Rebuild(settings, cluster).run(lambda *_: None)
    assert running.stop() is None
    assert Rebuild(settings, cluster).run(lambda *_: None) == 5
    sent = Counter(dict(message.headers())["ce_id"] for message in stage.read(stage.topics.service_updated, 10))
    assert sent == {f"{ref(f'e{number}')}@{number + 1}".encode(): 2 for number in range(5)}


def test_a_sink_that_was_idle_for_too_long_reads_anew_and_sweeps(stage, dsn, projected, eventually):
    leave_behind(dsn, "ghost")
    rows(dsn, STALE)
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: running.total("mainstem_sink_rebuilds_total") == 4)
    assert running.stop() is None
    assert live(dsn) == (projected, projected)
    assert running.count("mainstem_sink_swept_total", stage.topics.entities) == 1
    assert running.count("mainstem_sink_swept_total", stage.topics.changelog) == 1
    assert running.total("mainstem_sink_replayed_total") == 60


def test_a_sink_that_was_away_for_less_than_that_reads_nothing_again(stage, dsn, entity, projected, eventually):
    leave_behind(dsn, "ghost")
    rows(dsn, "UPDATE sink_offsets SET active_at = now() - interval '6 days'")
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    stage.upsert(entity(ref("more"), 100))
    eventually(lambda: "more" in live(dsn)[0])
    assert running.stop() is None
    assert running.total("mainstem_sink_replayed_total") == 0
    assert live(dsn)[0] == projected | {"more", "ghost"}


def test_a_position_before_the_start_of_the_topic_leads_to_a_rebuild(stage, dsn, entity, projected, eventually):
    topic = stage.topics.entities
    configure(stage.admin, topic, "cleanup.policy", "delete")
    for answer in stage.admin.delete_records([TopicPartition(topic, number, -1) for number in range(2)]).values():
        answer.result(20)
    rows(dsn, "UPDATE sink_offsets SET next_offset = next_offset - 1 WHERE topic = %s", topic)
    for number in range(4):
        stage.upsert(entity(ref(f"e{number}"), 100 + number))
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: running.count("mainstem_sink_rebuilds_total", topic) == 2)
    assert running.stop() is None
    assert live(dsn) == ({"e0", "e1", "e2", "e3"}, projected)


def test_a_rebuild_with_a_gap_is_begun_again_and_sweeps_only_what_is_gone(stage, dsn, projected, eventually):
    leave_behind(dsn, "ghost")
    begun = "INSERT INTO sink_rebuilds SELECT sink, topic, partition, now(), -1, now() FROM sink_offsets"
    rows(dsn, begun)
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: running.total("mainstem_sink_rebuilds_total") == 4)
    assert running.stop() is None
    assert live(dsn) == (projected, projected)
    assert running.total("mainstem_sink_replayed_total") >= 60


def test_a_running_sink_that_could_not_write_for_too_long_ends_and_is_right_again(
    stage, dsn, entity, projected, eventually
):
    first = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    stage.upsert(entity(ref("one"), 100))
    eventually(lambda: "one" in live(dsn)[0])
    leave_behind(dsn, "ghost")
    rows(dsn, STALE)
    stage.upsert(entity(ref("two"), 101))
    assert isinstance(first.ended(), FencedError)
    second = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: second.total("mainstem_sink_rebuilds_total") == 4)
    assert live(dsn)[0] == projected | {"one", "two"}


@pytest.fixture
def restored(postgres, dsn, projected):
    """The database as it was once the thirty were projected."""
    found = conninfo.conninfo_to_dict(dsn)["dbname"]
    backup = f"{found}_backup"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(backup), sql.Identifier(found)))
    assert projected
    yield conninfo.make_conninfo(dsn, dbname=backup)
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(backup)))


def test_a_database_restored_from_a_backup_catches_up_by_itself(stage, dsn, restored, entity, eventually):
    before, _ = live(restored)
    stage.upsert(entity(ref("e0"), 100, service={"tier": "new"}))
    stage.vanish(ref("e1"), 101)
    stage.forget(ref("e1"), 101)
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: "e1" not in live(dsn)[0] | live(dsn)[1])
    assert running.stop() is None
    assert live(restored) == (before, before)
    running = stage.start(PostgresSink(stage.settings("postgres", restored)))
    eventually(lambda: live(restored) == (before - {"e1"}, before - {"e1"}))
    eventually(lambda: rows(restored, "SELECT service FROM entities WHERE name = 'e0'") == [({"tier": "new"},)])
    assert running.stop() is None
    assert running.total("mainstem_sink_replayed_total") == 0


def test_a_topic_that_was_replaced_is_read_from_its_start_by_a_rebuild(stage, dsn, projected):
    leave_behind(dsn, "ghost")
    rows(dsn, "UPDATE sink_offsets SET next_offset = next_offset + 1000")
    rebuild(stage, dsn)
    assert live(dsn) == (projected, projected)
    assert rows(dsn, "SELECT sum(next_offset)::int FROM sink_offsets") == [(60,)]
