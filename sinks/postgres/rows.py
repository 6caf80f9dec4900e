"""From deliveries to rows: of each key of a batch only what counts, as the named statements take it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import orjson

from schemas.canonical import canonical_json
from schemas.codec import decode_records
from schemas.errors import DecodeError
from schemas.records import NEVER, Record, Records
from sinks.base import Delivery
from sinks.entities import header_number, read_key, read_texts, read_vanished

Row = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS: Final = -62_135_510_400_000
"""0001-01-02: what lies before it, in some time zone, has no year in Python."""
_LAST_MS: Final = 253_402_214_400_000
"""9999-12-31: the same at the other end."""
_INT64: Final = 2**63


@dataclass(slots=True)
class Rows:
    """The rows of one batch. No statement is given the same row of a table twice."""

    upserts: dict[bytes, Row] = field(default_factory=dict)
    vanished: dict[bytes, Row] = field(default_factory=dict)
    forgotten: dict[bytes, int] = field(default_factory=dict)
    held: dict[bytes, Records] = field(default_factory=dict)
    outages: dict[int, Row] = field(default_factory=dict)
    """By partition."""
    arrivals: dict[bytes, list[Row]] = field(default_factory=dict)
    """Each version that came of an entity, in their order: what its history is made of."""

    def add_entity(self, delivery: Delivery) -> None:
        """Keep the highest content and the highest end: a row that vanished shows the last content it had."""
        kept = self.vanished if delivery.value is None else self.upserts
        found = _vanished_row(delivery) if delivery.value is None else entity_row(delivery)
        if not -_INT64 <= found["version"] < _INT64:
            raise DecodeError("the version is no signed 64-bit integer")
        self.arrivals.setdefault(delivery.key, []).append(found)
        if delivery.key not in kept or kept[delivery.key]["version"] <= found["version"]:
            kept[delivery.key] = found

    def add_records(self, delivery: Delivery) -> None:
        read_key(delivery.key)
        if delivery.value is None:
            version = header_number(delivery, "version")
            self.forgotten[delivery.key] = max(version, self.forgotten.get(delivery.key, version))
        else:
            records = _records(delivery.value)
            if delivery.key not in self.held or self.held[delivery.key].version <= records.version:
                self.held[delivery.key] = records

    def add_outages(self, delivery: Delivery) -> None:
        """Of a partition the highest version counts: a worker that was cut off may have written last."""
        found = _outages_row(delivery)
        held = self.outages.get(delivery.partition)
        if held is None or held["version"] <= found["version"]:
            self.outages[delivery.partition] = found

    def statements(self) -> Iterator[tuple[str, list[Row]]]:
        """Yield (statement, its rows) in the order in which they must run, rows sorted so that locks are too."""
        yield "upsert_entity", [row for _, row in sorted(self.upserts.items())]
        yield "mark_vanished", [row for _, row in sorted(self.vanished.items())]
        yield "forget_records", [_end_row(key, version) for key, version in sorted(self.forgotten.items())]
        # A state that was forgotten later in the batch must not come back.
        held = [
            (key, records)
            for key, records in sorted(self.held.items())
            if key not in self.forgotten or records.version > self.forgotten[key]
        ]
        yield "drop_absent_records", [_absence_row(key, records) for key, records in held]
        yield "keep_outages", [row for _, row in sorted(self.outages.items())]
        yield "upsert_record", [row for key, records in held for row in record_rows(key, records)]


def timestamp(epoch_ms: float) -> str:
    """Return what Postgres reads as that moment; infinity for what no Python reader could take back."""
    if epoch_ms >= _LAST_MS:
        return "infinity"
    if epoch_ms < _FIRST_MS:
        return "-infinity"
    return (_EPOCH + timedelta(milliseconds=epoch_ms)).isoformat()


def record_id(tenant: str, entity_ref: str, connector: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"mainstem:{tenant}|{entity_ref}|{connector}"))


def _records(value: bytes) -> Records:
    records = decode_records(value)
    try:
        for record in records.by_connector.values():
            if not record.is_delete:
                _ = record.body["entity"]["metadata"], record.body["service"]
    except (ValueError, KeyError, TypeError) as error:
        raise DecodeError("the content of a record is no JSON of an entity and its facts") from error
    return records


def _outages_row(delivery: Delivery) -> Row:
    try:
        said = orjson.loads(delivery.value or b"")
        version = said["version"]
        words = {connector: [[int(at), str(op)] for at, op in each] for connector, each in said["words"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DecodeError("the value is none that tells of outages") from error
    if type(version) is not int or not -_INT64 <= version < _INT64:
        raise DecodeError("the version is no signed 64-bit integer")
    return {"partition": delivery.partition, "version": version, "words": _json(words)}


def _end_row(key: bytes, version: int) -> Row:
    return {**_identity(key), "version": version}


def _identity(key: bytes) -> Row:
    tenant, ref = read_key(key)
    return {"tenant": tenant, "entity_ref": str(ref)}


def entity_row(delivery: Delivery) -> Row:
    """Return the row of an entity that is there. Its JSON stays text: Postgres refuses what is none."""
    ref, fields = read_texts(delivery)
    return {
        "tenant": fields["tenant"],
        "entity_ref": fields["entityRef"],
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "entity": fields["entity"],
        "service": fields["service"],
        "provenance": fields["provenance"],
        "stale": fields["stale"],
        "version": fields["version"],
        "content_hash": fields["contentHash"],
        "merged_at": timestamp(fields["mergedAt"].timestamp() * 1000),
        "change": fields["change"],
        "changed": fields["changed"],
    }


def _vanished_row(delivery: Delivery) -> Row:
    found = read_vanished(delivery)
    return {
        "tenant": found.tenant,
        "entity_ref": found.entity_ref,
        "version": found.version,
        "deleted_at": timestamp(found.merged_at),
    }


def _absence_row(key: bytes, records: Records) -> Row:
    return {**_identity(key), "state_version": records.version, "data_sources": sorted(records.by_connector)}


def record_rows(key: bytes, records: Records) -> Iterable[Row]:
    """Yield the rows of an entity's held records."""
    identity = _identity(key)
    for connector, record in sorted(records.by_connector.items()):
        yield {
            **identity,
            **_content(record),
            "id": record_id(identity["tenant"], identity["entity_ref"], connector),
            "data_source": connector,
            "priority_score": record.priority,
            "content_hash": record.content_hash,
            "last_touched": timestamp(record.observed_at),
            "expiration_date": None if record.ttl is None else timestamp(record.observed_at + record.ttl * 1000),
            "deleted": record.is_delete,
            "generation": record.generation,
            "source_version": record.version,
            "change_id": record.id,
            "state_version": records.version,
        }


def _content(record: Record) -> Row:
    if record.is_delete:
        return dict.fromkeys(("api_version", "kind", "metadata", "spec", "service"))
    entity = record.body["entity"]
    return {
        "api_version": _text(entity, "apiVersion"),
        "kind": _text(entity, "kind"),
        "metadata": _json(entity["metadata"]),
        "spec": _json(entity["spec"]) if "spec" in entity else None,
        "service": _json(record.body["service"]),
    }


def _text(entity: Mapping[str, Any], name: str) -> str | None:
    value = entity.get(name)
    return value if isinstance(value, str) else None


def _json(value: Any) -> str:
    return canonical_json(value).decode()


assert NEVER > _LAST_MS
