"""Records merged anew, the entities topic and the tables are compared: on a real Kafka and a real Postgres."""

from dataclasses import replace

import psycopg
import pytest

from mainstem.verification.tables import Tables
from mainstem.verification.topics import Reader
from mainstem.verification.verification import Verification
from schemas.canonical import canonical_json
from schemas.entities import MergedEntity
from schemas.errors import UnavailableError
from schemas.records import Record, Records
from schemas.topics import OUTAGES_KEY
from sinks.postgres.sink import PostgresSink
from streams.merge import merge
from streams.outages import Outages
from streams.policy import ConnectorPolicy, Policy

POLICY = Policy(connectors={"git": ConnectorPolicy(priority=5), "cmdb": ConnectorPolicy(priority=1)})
NOW = 1_700_000_000_000
ODD = {"one": 1.0, "far": 1e16, "near": 1e-7, "nothing": -0.0, "beyond": 1e300, "text": "1.0", "whole": 2**63}


def ref(name):
    return f"component:default/{name}"


def held(name, version, *connectors):
    body = {"apiVersion": "v1", "kind": "Component", "metadata": {"name": name, "namespace": "default"}}
    records = {
        connector: Record(
            connector=connector,
            generation=0,
            version=version,
            observed_at=NOW,
            timestamp=NOW,
            ttl=None,
            priority=None,
            content_hash="h",
            content=canonical_json(
                {"entity": {**body, "spec": {"owner": connector, "odd": ODD}}, "service": {"by": connector}}
            ),
            id="changes/0/1",
        )
        for connector in connectors
    }
    return Records(version=version, merged_at=NOW, by_connector=records)


def merged(records, name):
    found = merge(records.by_connector.values(), POLICY, now=NOW)
    return MergedEntity(
        tenant="default",
        entity_ref=ref(name),
        version=records.version,
        content_hash=found.content_hash,
        entity=found.entity,
        service=found.service,
        provenance=found.provenance,
        change="created",
        changed=[""],
        stale=[],
        merged_at=NOW,
    )


def put(stage, name, version, *connectors):
    records = held(name, version, *connectors)
    stage.upsert(merged(records, name))
    stage.hold(ref(name), records)


def change(dsn, query, *values):
    with psycopg.connect(dsn) as connection:
        assert connection.execute(query, values).rowcount > 0


def test_tables_that_are_not_there_are_told_in_a_sentence(database):
    tables = Tables(database, "postgres")
    with pytest.raises(UnavailableError, match="run `mainstem db migrate`"):
        tables.missing({("mainstem.entities", 0): 1})
    tables.close()


@pytest.fixture
def verify(stage, dsn):
    def run(policy=POLICY, pause=lambda _: None):
        tables = Tables(dsn, "postgres")
        reader = Reader({"bootstrap.servers": stage.bootstrap}, stage.topics, policy)
        try:
            return Verification(reader, tables, stage.topics.partitions, pause=pause).run(lambda *_: None)
        finally:
            tables.close()
            reader.close()

    return run


@pytest.fixture
def projected(stage, dsn, eventually):
    """Twelve entities of two connectors, one that vanished and one that was forgotten; the sink runs."""
    for number in range(12):
        put(stage, f"e{number}", 10 + number, "git", "cmdb")
    put(stage, "gone", 30, "git")
    stage.vanish(ref("gone"), 31)
    stage.forget(ref("gone"), 31)
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: running.count("mainstem_sink_records_total", stage.topics.changelog) == 14)
    eventually(lambda: live(dsn) == {f"e{number}" for number in range(12)})
    return running


def live(dsn):
    with psycopg.connect(dsn) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM entities WHERE deleted_at IS NULL")}


def told(report):
    return [(each.entity_ref.partition("/")[2], each.side, each.sentence) for each in report.differences]


def test_what_is_right_has_no_differences(verify, projected):
    report = verify()
    assert (projected.fault, told(report), report.entities, report.unsettled) == (None, [], 13, 0)


ROW = "WHERE entity_ref = 'component:default/NAME' AND data_source = 'git'"
MODEL = "model", "services, teams or relations are not what the row of the entity makes"
DAMAGES = {
    "e1": ("DELETE FROM entities WHERE name = 'NAME'", "entities", "the topic holds the entity, which has no row"),
    "e10": ("UPDATE services SET tier = 'x' WHERE external_id = 'component:default/NAME'", *MODEL),
    "e11": ("DELETE FROM stated_relations WHERE entity_ref = 'component:default/NAME'", *MODEL),
    "e2": (
        "UPDATE entities SET deleted_at = now() WHERE name = 'NAME'",
        "entities",
        "the topic holds the entity, which has a row that says it vanished",
    ),
    "e3": (
        "UPDATE entities SET entity = jsonb_set(entity, '{spec,owner}', '1') WHERE name = 'NAME'",
        "entities",
        "its content is not what the topic holds",
    ),
    "e4": (
        "UPDATE entities SET stale = '{git}' WHERE name = 'NAME'",
        "entities",
        "where its fields come from, or which connectors are stale, is not what the topic holds",
    ),
    "e5": (
        "UPDATE entities SET version = version + 1 WHERE name = 'NAME'",
        "entities",
        "the row has another version than the topic",
    ),
    "e6": (f"DELETE FROM entity_records {ROW}", "entity_records", "the record of git is held and has no row"),
    "e7": (
        f"UPDATE entity_records SET last_touched = now() {ROW}",
        "entity_records",
        "the row of git is not the record that is held",
    ),
    "e8": (
        (
            "INSERT INTO entity_records SELECT (jsonb_populate_record(held, jsonb_build_object('data_source', 'x',"
            f" 'id', gen_random_uuid()))).* FROM entity_records AS held {ROW}"
        ),
        "entity_records",
        "there is a row of x, whose record is not held",
    ),
    "e9x": (
        (
            "INSERT INTO entities (tenant, entity_ref, kind, namespace, name, entity, service, provenance, version,"
            " content_hash, merged_at) SELECT tenant, 'component:default/NAME', kind, namespace, 'NAME', entity,"
            " service, provenance, version, content_hash, merged_at FROM entities WHERE name = 'e9'"
        ),
        "entities",
        "there is a row, and the topic does not hold the entity",
    ),
}


def test_a_table_that_differs_is_told(dsn, verify, projected):
    for name, (damage, _, _) in DAMAGES.items():
        change(dsn, damage.replace("NAME", name))
    assert told(verify()) == [(name, *expected) for name, (_, *expected) in DAMAGES.items()]
    assert projected.fault is None


def test_a_topic_that_is_not_what_its_records_merge_into_is_told(stage, verify, projected):
    stage.upsert(replace(merged(held("a", 40, "git"), "a"), service={"by": "nobody"}))
    stage.hold(ref("a"), held("a", 40, "git"))
    stage.upsert(merged(held("b", 41, "git"), "b"))
    stage.hold(ref("c"), held("c", 42, "git"))
    assert told(verify()) == [
        ("a", "topic", "its content is not what the held records merge into"),
        ("b", "topic", "the topic holds the entity, and no held record vouches for it"),
        ("c", "topic", "the held records make an entity, and the topic does not hold it"),
    ]
    assert projected.fault is None


def test_another_policy_is_another_merge(verify, projected):
    other = Policy(connectors={"cmdb": ConnectorPolicy(priority=9)})
    found = told(verify(other))
    assert {each[1:] for each in found} >= {("topic", "its content is not what the held records merge into")}
    assert (len({name for name, _, _ in found}), projected.fault) == (12, None)


def test_outages_that_stand_behind_the_records_are_reckoned_with(stage, verify, projected):
    mortal = held("e0", 70, "git")
    dying = replace(mortal, merged_at=NOW + 90_000, by_connector={"git": replace(mortal.by_connector["git"], ttl=60)})
    stage.upsert(replace(merged(mortal, "e0"), merged_at=NOW + 90_000))
    stage.hold(ref("e0"), dying)
    assert {each[:2] for each in told(verify())} == {("e0", "topic")}
    value = Outages({"git": ((NOW, "outage"), (NOW + 80_000, "recovered"))}).encode(71)
    of_a_zombie = Outages().encode(69)
    for number in range(stage.topics.partitions):
        stage.producer.produce(stage.topics.changelog, value, OUTAGES_KEY, partition=number)
        stage.producer.produce(stage.topics.changelog, of_a_zombie, OUTAGES_KEY, partition=number)
    stage.producer.flush(10)
    assert (told(verify()), projected.fault) == ([], None)


def test_what_moves_meanwhile_is_looked_at_again(stage, dsn, verify, projected):
    change(dsn, "UPDATE entities SET version = 1, content_hash = 'damaged' WHERE name IN ('e1', 'e2')")
    moved = []

    def pause(_):
        if not moved:
            moved.append(put(stage, "e1", 50, "git"))

    assert {name for name, _, _ in told(verify(pause=pause))} == {"e2"}
    assert projected.fault is None


def test_a_sink_that_does_not_go_on_is_named(stage, verify, projected, monkeypatch):
    assert projected.stop() is None
    put(stage, "late", 60, "git")
    monkeypatch.setattr("mainstem.verification.verification.PATIENCE_SECONDS", 0.0)
    with pytest.raises(UnavailableError, match="the sink postgres has 2 records of partition"):
        verify()


def test_no_difference_holds_text_of_a_payload(dsn, verify, projected):
    change(dsn, "UPDATE entities SET entity = '{\"secret\": \"hunter2\"}' WHERE name = 'e1'")
    assert "hunter2" not in str(verify().differences)
    assert projected.fault is None
