"""Runs with the code of any version: writes what that version writes, and tells what it reads of another one's.

    python exchange.py write              one JSON line per record, on stdout
    python exchange.py read < LINES       what this version understands of each, one JSON line per record
    python exchange.py project DSN < LINES   the records carried into the tables of that database

Whatever both versions must have in common is used here and nothing else: this file itself must run with both.
"""

import base64
import io
import json
import struct
import sys
from pathlib import Path
from typing import Any

import fastavro

from schemas import codec
from schemas.entities import MergedEntity, Vanished
from schemas.records import NEVER, Record, Records
from sinks.base import Delivery, SinkSettings
from sinks.entities import read_entity
from sinks.postgres.sink import PostgresSink

PAY, GONE = "component:default/pay", "component:default/gone"
VERSION = 1_790_000_000 << 20
INT64 = 2**63 - 1


def entity(name: str, version: int, **fields: Any) -> MergedEntity:
    body = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name}, "spec": {}}
    made: dict[str, Any] = {
        "content_hash": "0" * 32,
        "entity": body,
        "service": {},
        "provenance": {"/kind": "git"},
        "change": "created",
        "changed": [""],
        "stale": [],
        "merged_at": 1_790_000_000_123,
    }
    return MergedEntity(tenant="default", entity_ref=f"component:default/{name}", version=version, **{**made, **fields})


def record(connector: str, **fields: Any) -> Record:
    content = b'{"entity":{"kind":"Component","metadata":{"name":"pay"},"spec":{}},"service":{"tier":"tier1"}}'
    made: dict[str, Any] = {
        "generation": 0,
        "version": 1_790_000_000_000,
        "observed_at": 1_790_000_000_000,
        "timestamp": 1_790_000_000_001,
        "ttl": None,
        "priority": None,
        "content_hash": "1" * 32,
        "content": content,
        "id": f"mainstem.changes.{connector}/3/4711",
    }
    return Record(connector=connector, **{**made, **fields})


ENTITIES = (
    entity("pay", VERSION + 1),
    entity(
        "rich",
        VERSION + 2,
        entity={"kind": "Component", "metadata": {"name": "rich", "tags": ["ä", "😀"]}, "spec": {"n": 1e-7}},
        service={"tier": "tier1", "onCall": {"userId": "u", "until": None}},
        provenance={"/metadata/tags": ["git", "cmdb"], "/service/tier": "cmdb"},
        change="updated",
        changed=["/metadata/tags", "/service/tier"],
        stale=["cmdb"],
    ),
)  # fmt: skip
HELD = (
    Records(
        version=VERSION + 3,
        merged_at=1_790_000_000_123,
        content_hash="2" * 32,
        view_hash="3" * 32,
        by_connector={
            "cmdb": record("cmdb", ttl=90, priority=-5, generation=INT64, version=-INT64),
            "git": record("git", ttl=NEVER, priority=INT64),
            "late": record("late", content=None, content_hash=""),
        },
    ),
    Records(version=VERSION + 4, by_connector={}),
)
CHANGES = (
    {"entity": '{"kind": "Component"}', "observedAt": 1_790_000_000_000},
    {"op": "delete", "entityRef": PAY, "observedAt": "2026-11-21T12:00:00Z", "ttlSeconds": None, "version": INT64},
    {"entity": "{}", "service": '{"tier": null}', "ttlSeconds": 60, "priority": -1, "id": "x"},
)


def records() -> list[dict[str, Any]]:
    rows = [line("entities", each.entity_ref, codec.encode_entity(each)) for each in ENTITIES]
    gone = Vanished(tenant="default", entity_ref=GONE, version=VERSION + 5, merged_at=1, reason="expired")
    rows.append(line("entities", GONE, None, gone.headers()))
    rows += [line("changelog", key, codec.encode_records(each)) for key, each in zip((PAY, GONE), HELD, strict=True)]
    rows.append(line("changelog", GONE, None, [("version", b"%d" % (VERSION + 6))]))
    rows += [line("changes", PAY, avro_change(change)) for change in CHANGES]
    rows.append(
        line("changes", PAY, b'{"entity": {"kind": "Component"}, "service": {"tier": "tier1"}, "ttlSeconds": null}')
    )
    return rows


def avro_change(fields: dict[str, Any]) -> bytes:
    """Return a change as a publisher in another language writes it, with the files of this version."""
    files = Path(codec.__file__).with_name("avro")
    ids = json.loads((files / "ids.json").read_text())
    wire_id = max(int(known) for known, file in ids.items() if file == "Change.avsc")
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, json.loads((files / "Change.avsc").read_text()), fields)
    return struct.pack(">bI", 0, wire_id) + buffer.getvalue()


def line(topic: str, key: str, value: bytes | None, headers: Any = ()) -> dict[str, Any]:
    shown = None if value is None else base64.b64encode(value).decode()
    row = {"topic": topic, "key": key, "value": shown, "headers": [[name, text.decode()] for name, text in headers]}
    return {**row, "told": told(row)}


def told(row: dict[str, Any]) -> Any:
    """Return what this version understands of a record, as plain JSON."""
    value = None if row["value"] is None else base64.b64decode(row["value"])
    if row["topic"] == "entities":
        found = read_entity(delivery(row, "entities", 0))
        return plain(found)
    if row["topic"] == "changes":
        return codec.decode_change(value)
    if value is None:
        return row["headers"]
    held = codec.decode_records(value)
    assert codec.records_version(value) == held.version
    return {**plain(held), "by_connector": {name: plain(each) for name, each in held.by_connector.items()}}


def plain(found: Any) -> dict[str, Any]:
    names = [name for name in type(found).__slots__ if not name.startswith("_")]
    return {name: as_json(getattr(found, name)) for name in names if name != "by_connector"}


def as_json(value: Any) -> Any:
    return "NEVER" if value == NEVER else value.decode() if isinstance(value, bytes) else value


def delivery(row: dict[str, Any], topic: str, offset: int) -> Delivery:
    return Delivery(
        topic=topic,
        partition=0,
        offset=offset,
        key=row["key"].encode(),
        value=None if row["value"] is None else base64.b64decode(row["value"]),
        headers=[(name, text.encode()) for name, text in row["headers"]],
        timestamp=1_790_000_000_000,
    )


def project(dsn: str, rows: list[dict[str, Any]]) -> None:
    """Carry *rows* into tables that exist already, as the sink of this version does."""
    settings = SinkSettings(name="postgres", client={}, dsn=dsn)
    sink = PostgresSink(settings)
    topics = {"entities": settings.topics.entities, "changelog": settings.topics.changelog}
    stored = sink.stored_positions([(topic, 0) for topic in topics.values()])
    for row in rows:
        if row["topic"] in topics:
            topic = topics[row["topic"]]
            offset = stored.get((topic, 0), 0)
            sink.write([delivery(row, topic, offset)], {(topic, 0): offset + 1})
            stored = {**stored, (topic, 0): offset + 1}
    sink.close()


def main() -> None:
    command, *rest = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr  # logs go to what is the standard output
    if command == "write":
        found: list[Any] = records()
    else:
        given = [json.loads(text) for text in sys.stdin]
        found = [told(row) for row in given] if command == "read" else [project(*rest, given)]
    for row in found:
        print(json.dumps(row, ensure_ascii=False, sort_keys=True), file=answers)
    print(codec.__file__, file=sys.stderr)


if __name__ == "__main__":
    main()
