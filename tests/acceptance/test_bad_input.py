"""Input that cannot be used: it is set aside as it came, told where and why, and stops nobody."""

import io
import json
import struct
from dataclasses import dataclass
from typing import Any

import fastavro
import pytest

from schemas.codec import AVRO_DIRECTORY
from tests.integration.kill.kafka_io import Sent, partition_of
from tests.patience import eventually

CANARY = "kan4rie"
HEADERS = [("traced", b"\xff"), ("traced", b"2"), ("none", None)]
STAMP = 1_700_000_000_000


def _component(name: Any, spec: Any = None, **fields: Any) -> dict[str, Any]:
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name}}
    return {"entity": {**entity, "spec": {} if spec is None else spec}, **fields}


def _text(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _padded(size: int) -> bytes:
    value = _text(_component("large", {CANARY: ""}))
    return value.replace(b'""', b'"' + b"x" * (size - len(value)) + b'"')


def _labels(count: int) -> dict[str, int]:
    return {str(number): 0 for number in range(count)}


BAD = {
    "not UTF-8": (b'{"entity": "\xff\xfe"}', "decode", "DecodeError"),
    "no JSON": (b"{kan4rie", "decode", "DecodeError"),
    "neither JSON nor Avro": (b"kan4rie", "decode", "DecodeError"),
    "an empty value": (b"", "decode", "DecodeError"),
    "a null value": (None, "decode", "DecodeError"),
    "NaN": (b'{"entity": NaN}', "decode", "DecodeError"),
    "a number that is no double": (b'{"entity": 1e999}', "decode", "DecodeError"),
    "one byte too many": (_padded(1_000_001), "decode", "DecodeError"),
    "five megabytes, compressed": (_padded(5_000_000), "decode", "DecodeError"),
    "NUL": (_text(_component("nul", {"owner": f"{CANARY}\0"})), "decode", "DecodeError"),
    "a lone surrogate": (_text(_component("alone", {"owner": f"{CANARY}\ud800"})), "decode", "DecodeError"),
    "depth 10,000": (b'{"entity":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "decode", "DecodeError"),
    "an unknown Avro schema id": (b"\0\0\0\x03\xe7kan4rie", "decode", "DecodeError"),
    "a cut Avro value": (b"\0\0\0\0\x01\x0c", "decode", "DecodeError"),
    "Avro of a schema that is no change": (b"\0\0\0\0\x02kan4rie", "decode", "DecodeError"),
    "a name of 300 characters": (_text(_component(CANARY + "n" * 293)), "validate", "ValidationError"),
    "a name that is no text": (_text(_component(7)), "validate", "ValidationError"),
    "no entity": (b'{"kan4rie": 1}', "validate", "ValidationError"),
    "an unknown root field": (
        _text({"entity": {**_component("root")["entity"], "more": CANARY}}), "validate", "ValidationError"
    ),
    "faults beyond all headers": (
        _text(_component("many", service={"dependencies": [0] * 300_000})),
        "validate",
        "ValidationError",
    ),
    "faults beyond number": (
        _text({"entity": {**_component("many")["entity"], "metadata": {"name": "many", "labels": _labels(80_000)}}}),
        "validate",
        "ValidationError",
    ),
    "another op": (_text(_component("op", op="kan4rie")), "validate", "ValidationError"),
    "another tenant": (_text(_component("tenant", tenant="kan4rie")), "validate", "ValidationError"),
    "another entityRef": (
        _text(_component("ref", entityRef="component:default/kan4rie")), "validate", "ValidationError"
    ),
    "a delete of nothing": (b'{"op": "delete"}', "validate", "ValidationError"),
    "a ttl of nothing": (_text(_component("ttl", ttlSeconds=0)), "validate", "ValidationError"),
    "a time that is none": (_text(_component("time", observedAt="kan4rie")), "validate", "ValidationError"),
}  # fmt: skip


@dataclass(frozen=True)
class _Set:
    """What was published: the bad with where it lies, and the good ones after it."""

    bad: dict[str, Sent]
    good: list[str]


@pytest.fixture(scope="module")
def published(installation):
    """Yield what was published on one topic, bad and good by turns, when the last good one is merged."""
    send = installation.sender()
    bad, good = {}, []
    for number, (name, (value, _, _)) in enumerate(BAD.items()):
        partition = number % 4
        bad[name] = send("bad", value, _key(number), partition=partition, headers=HEADERS, timestamp=STAMP + number)
        ref = _ref_in(partition, number)
        send("bad", _component(ref.partition("/")[2]), ref.encode())
        good.append(ref)
    installation.wait_until_merged(["bad"])
    return _Set(bad, good)


def test_good_changes_behind_each_bad_one_still_flow(installation, published):
    for ref in published.good:
        assert installation.entity(ref)["provenance"]["/kind"] == "bad"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_change_lies_in_the_dead_letters_as_it_came_with_where_and_why(installation, published, name):
    value, stage, error = BAD[name]
    sent, number = published.bad[name], list(BAD).index(name)
    letters = [
        message
        for message in installation.read(installation.topics.dead_letters)
        if _origin(message) == (sent.topic, str(sent.partition), str(sent.offset))
    ]
    assert len(letters) == 1
    headers = letters[0].headers()
    reason = dict(headers)["mainstem-reason"].decode()
    assert (letters[0].key(), letters[0].value()) == (_key(number), value)
    assert headers == [
        *HEADERS,
        ("mainstem-origin-topic", b"mainstem.changes.bad"),
        ("mainstem-origin-partition", b"%d" % sent.partition),
        ("mainstem-origin-offset", b"%d" % sent.offset),
        ("mainstem-origin-timestamp", b"%d" % (STAMP + number)),
        ("mainstem-stage", stage.encode()),
        ("mainstem-error", error.encode()),
        ("mainstem-reason", reason.encode()),
        ("mainstem-attempts", b"1"),
    ]
    assert len(reason) > 10
    assert CANARY not in reason


def test_the_dead_letters_are_counted_in_the_apis_metrics(installation, published):
    expected = {"dead_lettered": len(published.bad), "merged": len(published.good)}
    found = eventually(lambda: (found := installation.outcomes("bad")) == expected and found, 30, str)
    assert found == expected


def test_names_in_another_case_are_one_entity(installation):
    send = installation.sender()
    for version, name in enumerate(("case", "CASE", "Case"), start=1):
        send("pipe", _component(name, {"owner": name}, version=version), f"component:default/{name}".encode())
    installation.wait_until_merged(["pipe"])
    row = eventually(
        lambda: (row := installation.entity("component:default/case"))["entity"]["spec"] == {"owner": "Case"} and row
    )
    assert row["entity"]["metadata"]["name"] == "Case"
    assert [ref for ref in installation.entities() if ref.lower() == "component:default/case"] == [row["entity_ref"]]


def test_a_change_without_a_key_is_merged_where_it_belongs(installation):
    send = installation.sender()
    for partition in range(4):
        document = _component(f"keyless-{partition}", {"owner": "nobody"})
        send("pipe", document, None, partition=partition)
    for partition in range(4):
        row = installation.entity(f"component:default/keyless-{partition}")
        assert row["entity"]["spec"] == {"owner": "nobody"}
    keys = {message.key() for message in installation.read(installation.topics.entities)}
    assert None not in keys


def test_a_file_that_cannot_be_read_is_told_with_its_line_and_the_rest_is_published(installation):
    for number in ("one", "two", "three", "four"):
        row = installation.entity(f"component:default/yard-{number}")
        assert row["provenance"]["/spec/owner"] == "yard"
    told = {event["place"]: event["reason"] for event in installation.events("connector.document_refused")}
    (complete,) = installation.events("connector.run_completed")
    assert told.keys() == {"broken.yaml:6", "broken.yaml:16"}
    assert "cannot be read" in told["broken.yaml:6"]
    assert told["broken.yaml:16"] == "/entity/spec/owner: is required"
    assert CANARY not in str(told)
    assert (complete["connector"], complete["published"], complete["refused"]) == ("yard", 4, 2)
    assert "component:default/yard-five" not in installation.entities()


@pytest.fixture(scope="module")
def avro_changes(installation):
    """Publish one entity three times under three names: with the connector's ttl, with none, with its own."""
    send = installation.sender()
    for name, fields in (("inherits", {}), ("stays", {"ttlSeconds": None}), ("lasts", {"ttlSeconds": 86_400})):
        change = _component(f"avro-{name}", {"owner": "avro"})
        value = _avro({"entity": json.dumps(change["entity"]), "service": '{"tier": "tier1"}', **fields})
        send("avro", value, f"component:default/avro-{name}".encode())
    installation.wait_until_merged(["avro"])


@pytest.mark.usefixtures("avro_changes")
def test_an_avro_change_without_a_ttl_has_the_connectors(installation):
    row = installation.entity("component:default/avro-inherits", gone=True)
    assert (row["entity"]["spec"], row["service"]) == ({"owner": "avro"}, {"tier": "tier1"})


@pytest.mark.usefixtures("avro_changes")
@pytest.mark.parametrize("name", ["stays", "lasts"])
def test_an_avro_change_with_a_ttl_of_its_own_outlives_the_connectors(installation, name):
    installation.entity("component:default/avro-inherits", gone=True)
    row = installation.entity(f"component:default/avro-{name}")
    assert (row["entity"]["spec"], row["service"]) == ({"owner": "avro"}, {"tier": "tier1"})


@pytest.mark.usefixtures("avro_changes")
def test_an_avro_delete_ends_the_entity(installation):
    installation.sender()("avro", _avro({"op": "delete", "entityRef": "component:default/avro-stays"}), b"none")
    assert installation.entity("component:default/avro-stays", gone=True)["deleted_at"] is not None


def _avro(fields: dict[str, Any]) -> bytes:
    """Write a change as another program would: with its schema, under the id that `ids.json` gives it."""
    ids = json.loads((AVRO_DIRECTORY / "ids.json").read_text())
    (wire_id,) = (int(number) for number, file in ids.items() if file == "Change.avsc")
    schema = fastavro.parse_schema(json.loads((AVRO_DIRECTORY / "Change.avsc").read_text()))
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, fields)
    return struct.pack(">bI", 0, wire_id) + buffer.getvalue()


def _key(number: int) -> bytes | None:
    """Return a key without use: what is bad is never forwarded by it."""
    return None if number % 3 == 0 else b"\xff%d" % number


def _ref_in(partition: int, number: int) -> str:
    """Return a reference that belongs into *partition*."""
    refs = (f"component:default/good-{number}-{attempt}" for attempt in range(1_000))
    return next(ref for ref in refs if partition_of(ref.encode(), 4) == partition)


def _origin(message: Any) -> tuple[str, ...]:
    headers = dict(message.headers())
    return tuple(headers[f"mainstem-origin-{part}"].decode() for part in ("topic", "partition", "offset"))
