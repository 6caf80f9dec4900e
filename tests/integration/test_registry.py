"""Wire ids of a schema registry beside those of ids.json: on, off, away, and both kinds in one topic."""

import asyncio
import io
import json
import struct

import fastavro
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from prometheus_client import CollectorRegistry

from schemas import writers
from schemas.codec import decode_change, decode_entity, decode_records, encode_entity, encode_records
from schemas.entities import MergedEntity
from schemas.errors import ConfigError, DecodeError, Retriable, UnavailableError
from schemas.metrics import ProcessorMetrics
from schemas.records import Record, Records
from schemas.registry import UNKNOWN_SECONDS, Registry
from schemas.topics import Topics
from streams.writers import schemas_at_hand
from tests.registry_server import RegistryServer

TOPICS = Topics()
SUBJECT = "mainstem.changes.team-pay-value"
PAY = '{"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "pay"}}'
TEAMS_CHANGE = {
    "type": "record",
    "name": "Change",
    "namespace": "com.team.pay",
    "fields": [
        {"name": "service", "type": "string"},
        {"name": "entity", "type": "string"},
        {"name": "seen", "type": "boolean", "doc": "the team's own: nobody reads it"},
        {"name": "observedAt", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
WRITTEN = {"service": '{"tier": "tier1"}', "entity": PAY, "seen": True, "observedAt": 1_700_000_000_123}
READ = {
    "op": "upsert",
    "entity": json.loads(PAY),
    "service": {"tier": "tier1"},
    "observedAt": 1_700_000_000_123,
}
ENTITY = MergedEntity(
    tenant="default",
    entity_ref="component:default/pay",
    version=7,
    content_hash="h",
    entity=json.loads(PAY),
    service={},
    provenance={"/kind": "git"},
    change="created",
    changed=[""],
    stale=[],
    merged_at=1_700_000_000_000,
)
RECORD = Record(
    connector="git",
    generation=0,
    version=1,
    observed_at=1,
    timestamp=1,
    ttl=None,
    priority=None,
    content_hash="h",
    content=b"{}",
    id="t/0/0",
)
HELD = Records(version=7, merged_at=1, content_hash="h", view_hash="v", by_connector={"git": RECORD})


@pytest.fixture
def server():
    """Yield a registry that this process uses."""
    found = RegistryServer()
    registry = Registry(found.url)
    writers.use(registry)
    yield found
    writers.use(None)
    registry.close()
    found.stop()


def avro(wire_id, schema, value):
    buffer = io.BytesIO(struct.pack(">bI", 0, wire_id))
    buffer.seek(5)
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), value)
    return buffer.getvalue()


def own(file):
    return json.loads((writers.AVRO_DIRECTORY / file).read_text())


def wire_id(value):
    return struct.unpack_from(">bI", value)[1]


def test_a_change_is_read_with_the_schema_that_its_writer_registered(server):
    # The publisher's own client, in its own process, registers and writes.
    client = SchemaRegistryClient({"url": server.url})
    serializer = AvroSerializer(client, json.dumps(TEAMS_CHANGE))
    value = serializer(WRITTEN, SerializationContext("mainstem.changes.team-pay", MessageField.VALUE))
    client.close()

    assert decode_change(value) == READ


def test_the_registry_is_asked_once_for_an_id_and_not_needed_afterwards(server):
    value = avro(server.add(SUBJECT, TEAMS_CHANGE), TEAMS_CHANGE, WRITTEN)
    decode_change(value)

    with server.away():
        assert decode_change(value) == READ
    assert server.asked.count("GET/schemas/ids/1") == 1


@pytest.mark.usefixtures("server")
def test_an_id_that_the_registry_does_not_know_is_no_change():
    with pytest.raises(DecodeError, match="schema id 77 is not known"):
        decode_change(avro(77, TEAMS_CHANGE, WRITTEN))


def test_an_id_that_was_unknown_is_asked_for_again_after_a_while(server):
    now = [0.0]
    found = Registry(server.url, clock=lambda: now[0])
    answers = [found.schema(1)]
    server.add(SUBJECT, TEAMS_CHANGE)
    answers.append(found.lacks(1))
    now[0] += UNKNOWN_SECONDS
    answers.append(found.lacks(1))
    found.ask(1)
    answers += [found.lacks(1), found.schema(1) is not None]
    found.close()

    assert answers == [None, False, True, False, True]


def test_what_was_unknown_once_is_answered_without_the_registry_however_late(server):
    now = [0.0]
    found = Registry(server.url, clock=lambda: now[0])
    found.ask(1)
    now[0] += 10 * UNKNOWN_SECONDS
    with server.away():
        assert found.schema(1) is None
    found.close()


def test_of_unknown_ids_the_last_asked_for_are_kept(server, monkeypatch):
    monkeypatch.setattr("schemas.registry.UNKNOWN_KEPT", 2)
    found = Registry(server.url)
    for wire_id in (1, 2, 1, 3):
        found.ask(wire_id)
    lacks = [found.lacks(wire_id) for wire_id in (1, 2, 3)]
    found.close()

    assert lacks == [False, True, False]


def at_hand(values):
    asyncio.run(schemas_at_hand(iter(values), ProcessorMetrics(CollectorRegistry())))


@pytest.fixture
def room_for_three(monkeypatch):
    monkeypatch.setattr("schemas.registry.UNKNOWN_KEPT", 3)


@pytest.mark.usefixtures("room_for_three")
def test_a_run_has_every_schema_at_hand_also_where_unknown_ids_push_each_other_out(server):
    ids = (server.add(SUBJECT, TEAMS_CHANGE), 7, 8, 9)
    values = [avro(wire_id, TEAMS_CHANGE, WRITTEN) for wire_id in ids]
    writers.fetch(7)
    writers.fetch(50)
    at_hand(values)

    with server.away():
        assert decode_change(values[0]) == READ
        for value in values[1:]:
            with pytest.raises(DecodeError, match="is not known"):
                decode_change(value)


@pytest.mark.usefixtures("room_for_three")
def test_a_run_of_more_unknown_ids_than_are_kept_is_merged_all_the_same(server):
    at_hand([avro(wire_id, TEAMS_CHANGE, WRITTEN) for wire_id in range(10, 20)])

    assert len(server.asked) == 10


def test_while_the_registry_is_away_a_change_is_to_be_tried_again(server):
    value = avro(server.add(SUBJECT, TEAMS_CHANGE), TEAMS_CHANGE, WRITTEN)
    with server.away(), pytest.raises(Retriable, match=r"no schema registry answers at 127\.0\.0\.1"):
        decode_change(value)

    assert decode_change(value) == READ


@pytest.mark.parametrize("schema", ['{"type": "record"', '{"type": "string"}', '"long"', "[]"])
def test_a_schema_that_is_no_change_makes_no_change(server, schema):
    with pytest.raises(DecodeError):
        decode_change(avro(server.add(SUBJECT, schema) + 0, TEAMS_CHANGE, WRITTEN) + b"more")


def test_another_kind_of_schema_makes_no_change(server):
    server.add("other", "{}")
    wire = server.add(SUBJECT, '{"type": "object"}', schemaType="JSON")
    with pytest.raises(DecodeError, match=f"schema id {wire} is not known"):
        decode_change(avro(wire, TEAMS_CHANGE, WRITTEN))


def test_a_writers_schema_may_build_on_others(server):
    server.add("tier", {"type": "enum", "name": "Tier", "namespace": "com.team", "symbols": ["A", "B"]})
    fields = [{"name": "tier", "type": "com.team.Tier"}, {"name": "entity", "type": "string"}]
    schema = {"type": "record", "name": "Change", "namespace": "com.team", "fields": fields}
    wire = server.add(SUBJECT, schema, references=[{"name": "com.team.Tier", "subject": "tier", "version": 1}])
    whole = {**schema, "fields": [{"name": "tier", "type": json.loads(server.schemas[1]["schema"])}, fields[1]]}

    assert decode_change(avro(wire, whole, {"tier": "B", "entity": PAY})) == {"op": "upsert", "entity": json.loads(PAY)}


@pytest.mark.parametrize("first", [own("MergedEntity.avsc"), TEAMS_CHANGE])
def test_changes_with_file_ids_are_read_beside_those_of_the_registry(server, first):
    # The registry gives the file's id to something else.
    assert server.add("first", first) == 1
    by_file = avro(1, own("Change.avsc"), {"entity": PAY, "service": '{"tier": "tier1"}', "observedAt": 5})
    by_registry = avro(server.add(SUBJECT, TEAMS_CHANGE), TEAMS_CHANGE, WRITTEN)

    assert (decode_change(by_file), decode_change(by_registry)) == ({**READ, "observedAt": 5}, READ)


def test_what_mainstem_writes_is_registered_and_carries_the_registrys_ids(server):
    server.add("somebody-else", TEAMS_CHANGE)
    writers.register(TOPICS)

    assert server.subjects.keys() == {
        "somebody-else",
        "mainstem.entities-value",
        "mainstem-processor-records-changelog-value",
    }
    assert [wire_id(encode_entity(ENTITY))] == server.subjects["mainstem.entities-value"]
    assert [wire_id(encode_records(HELD))] == server.subjects["mainstem-processor-records-changelog-value"]


def test_whoever_knows_the_registry_reads_merged_entities(server):
    server.add("somebody-else", TEAMS_CHANGE)
    writers.register(TOPICS)
    client = SchemaRegistryClient({"url": server.url})
    context = SerializationContext(TOPICS.entities, MessageField.VALUE)

    found = AvroDeserializer(client)(encode_entity(ENTITY), context)
    client.close()

    assert (found["entityRef"], found["version"]) == ("component:default/pay", 7)


@pytest.mark.parametrize("others", [0, 1, 2, 3])
def test_topics_are_read_whether_the_registry_is_switched_on_or_off_later(server, others):
    """*others* schemas came first, so that the registry's ids meet those of the files in every way."""
    for number in range(others):
        server.add(f"other-{number}", {**TEAMS_CHANGE, "name": f"Other{number}"})
    writers.use(None)
    values = [(encode_entity(ENTITY), encode_records(HELD))]
    registry = Registry(server.url)
    writers.use(registry)
    writers.register(TOPICS)
    values.append((encode_entity(ENTITY), encode_records(HELD)))

    def read():
        return {(decode_entity(entity) == ENTITY, decode_records(records) == HELD) for entity, records in values}

    with_registry = read()
    writers.use(None)
    without = read()
    registry.close()

    assert (with_registry, without) == ({(True, True)}, {(True, True)})
    assert wire_id(values[0][0]) == 2


def test_what_mainstem_wrote_is_read_while_the_registry_is_away(server):
    """A merge reads what is held: it cannot wait, and whatever fails in it is taken for the fault of a change."""
    for number in range(5):
        server.add(f"other-{number}", {**TEAMS_CHANGE, "name": f"Other{number}"})
    registries = [Registry(server.url), Registry(server.url)]
    writers.use(registries[0])
    writers.register(TOPICS)
    asked, entity, records = len(server.asked), encode_entity(ENTITY), encode_records(HELD)
    assert (decode_entity(entity), decode_records(records)) == (ENTITY, HELD)
    assert len(server.asked) == asked
    writers.use(registries[1])
    with server.away():
        found = decode_entity(entity), decode_records(records)
    for each in registries:
        each.close()

    assert found == (ENTITY, HELD)


def test_a_process_that_did_not_register_reads_the_registrys_ids_too(server):
    for number in range(5):
        server.add(f"other-{number}", {**TEAMS_CHANGE, "name": f"Other{number}"})
    registries = [Registry(server.url), Registry(server.url)]
    writers.use(registries[0])
    writers.register(TOPICS)
    value = encode_entity(ENTITY)
    writers.use(registries[1])

    assert decode_entity(value) == ENTITY
    assert server.asked[-1] == f"GET/schemas/ids/{wire_id(value)}"
    for each in registries:
        each.close()


def test_registering_says_what_is_wrong(server):
    server.add("mainstem.entities-value", {**TEAMS_CHANGE, "name": "MergedEntity", "namespace": "mainstem"})
    with pytest.raises(ConfigError, match=r"does not fit what subject mainstem\.entities-value has"):
        writers.register(TOPICS)
    with server.away(), pytest.raises(UnavailableError, match=r"no schema registry answers at 127\.0\.0\.1:"):
        writers.register(TOPICS)


def test_credentials_are_used_and_never_told():
    closed = RegistryServer("pay:s3cret")
    wire = closed.add(SUBJECT, TEAMS_CHANGE)
    registries = [
        Registry(closed.url, username="pay", password="s3cret"),
        Registry(closed.url, username="pay", password="wr0ng"),
        Registry(closed.url.replace("//", "//pay:wr0ng@")),
    ]

    assert registries[0].schema(wire)["name"] == "com.team.pay.Change"
    for refused in registries[1:]:
        with pytest.raises(Retriable, match="refuses the credentials") as caught:
            refused.schema(wire)
        assert "wr0ng" not in str(caught.value)
    for each in registries:
        each.close()
    closed.stop()


def test_an_address_that_is_none_is_a_wrong_setting():
    with pytest.raises(ConfigError, match=r"kafka\.schema_registry"):
        Registry("registry:8081")
