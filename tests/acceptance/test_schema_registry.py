"""A whole installation with a schema registry: what publishers registered is read, and what Mainstem writes."""

import json

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.acceptance.running import Up, write_config
from tests.patience import eventually
from tests.registry_server import RegistryServer

CHANGE = {
    "type": "record",
    "name": "Change",
    "namespace": "com.team.pay",
    "fields": [{"name": "entity", "type": "string"}, {"name": "tier", "type": ["null", "string"], "default": None}],
}
OLDER = {**CHANGE, "fields": CHANGE["fields"][:1]}


@pytest.fixture(scope="module")
def server():
    found = RegistryServer()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def up(server):
    config = {
        "kafka": {"schema_registry": {"url": server.url}},
        "connectors": [{"connector_id": "team", "type": "external"}],
        "sinks": {"incidents": {"enabled": False}},
    }
    installation = Up(config)
    try:
        yield installation.start()
        installation.stop()
    finally:
        installation.close()


class Publisher:
    """A team with Confluent's own serializer."""

    def __init__(self, up, server, schema):
        self.topic = up.topics.changes("team")
        self.client = SchemaRegistryClient({"url": server.url})
        self.serializer = AvroSerializer(self.client, json.dumps(schema))
        self.send = up.sender()

    def value(self, name):
        entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name}}
        context = SerializationContext(self.topic, MessageField.VALUE)
        return self.serializer({"entity": json.dumps(entity)}, context)

    def publish(self, name, value=None):
        ref = f"component:default/{name}"
        self.send("team", value or self.value(name), ref.encode())
        return ref


def test_a_publishers_schema_decides_and_merged_entities_carry_ids_of_the_registry(up, server):
    publishers = [Publisher(up, server, schema) for schema in (OLDER, CHANGE)]
    for number, publisher in enumerate(publishers):
        assert up.entity(publisher.publish(f"by-schema-{number}"))["provenance"]["/kind"] == "team"
    read = AvroDeserializer(publishers[0].client)
    context = SerializationContext(up.topics.entities, MessageField.VALUE)

    found = [read(message.value(), context)["entityRef"] for message in up.read(up.topics.entities)]
    for publisher in publishers:
        publisher.client.close()

    assert sorted(found) == ["component:default/by-schema-0", "component:default/by-schema-1"]
    assert len(server.subjects["mainstem.changes.team-value"]) == 2


def test_an_id_that_nobody_knows_is_a_dead_letter(up, server):
    publisher = Publisher(up, server, CHANGE)
    publisher.publish("unknown", b"\0\0\0\x30\x39" + publisher.value("unknown")[5:])
    (letter,) = eventually(lambda: up.read(up.topics.dead_letters), said=up.tail)
    publisher.client.close()
    headers = dict(letter.headers())

    assert headers["mainstem-stage"] == b"decode"
    assert headers["mainstem-reason"].startswith(b"schema id 12345 is not known")


def test_while_the_registry_is_away_a_change_waits_and_nothing_is_set_aside(up, server):
    # A schema that no worker has seen.
    publisher = Publisher(up, server, {**CHANGE, "doc": "anew"})
    value, letters = publisher.value("waiting"), len(up.read(up.topics.dead_letters))
    publisher.client.close()
    with server.away():
        ref = publisher.publish("waiting", value)
        (said, *_) = eventually(lambda: up.events("processor.waiting_for_registry"), said=up.tail)
        assert ref not in up.entities()

    assert up.entity(ref)["deleted_at"] is None
    assert len(up.read(up.topics.dead_letters)) == letters
    assert "no schema registry answers" in said["reason"]
    assert up.events("up.role_ended") == []


def test_what_was_written_with_the_registrys_ids_is_read_when_it_is_switched_off(up):
    known = set(up.entities())
    up.stop()
    write_config(up.config_file, {"connectors": [{"connector_id": "team", "type": "external"}]})
    up.start()
    up.sender()("team", {"op": "delete", "entityRef": "component:default/waiting"}, b"component:default/waiting")
    # The processor holds the record that it wrote under the registry's id: the delete ends it.
    assert up.entity("component:default/waiting", gone=True)["version"]

    assert set(up.entities()) == known >= {"component:default/waiting", "component:default/by-schema-0"}
    assert up.events("up.role_ended") == []
