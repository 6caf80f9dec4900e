"""Bytes on the topics, and the values they stand for. Avro travels in the Confluent wire format.

Which schema a wire id stands for is said by `schemas/writers.py`.
"""

import io
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

import fastavro
import orjson

from schemas import writers
from schemas.avro_binary import entity_bytes, read_records, records_bytes
from schemas.canonical import canonical_json, parse_json
from schemas.entities import MergedEntity, Texts
from schemas.errors import DecodeError
from schemas.records import NEVER, Record, Records
from schemas.topics import MAX_CHANGE_BYTES
from schemas.writers import AVRO_DIRECTORY, WIRE

__all__ = [
    "AVRO_DIRECTORY",
    "decode_change",
    "decode_entity",
    "decode_records",
    "encode_entity",
    "encode_records",
    "entity_version",
    "records_version",
]

_INHERIT: Final = "CONNECTOR"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def _encode(file: str, value: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    buffer.write(writers.header(file))
    fastavro.schemaless_writer(buffer, writers.schema(file), value)
    return buffer.getvalue()


def _decode(file: str, data: bytes) -> dict[str, Any]:
    if len(data) < WIRE.size:
        raise DecodeError("shorter than the five bytes that name an Avro schema")
    magic, wire_id = WIRE.unpack_from(data)
    if magic:
        raise DecodeError("the value does not begin with the byte 0x00 (Avro)")
    fault = ""
    for writer in writers.candidates(file, wire_id):
        buffer = io.BytesIO(data)
        buffer.seek(WIRE.size)
        own = writers.schema(file)
        try:
            value = fastavro.schemaless_reader(buffer, writer, None if writer is own else own)
        except Exception as error:  # noqa: BLE001 - fastavro raises whatever broken bytes lead it to
            fault = fault or f"not Avro of schema id {wire_id}: {type(error).__name__}"
            continue
        if buffer.tell() == len(data):
            return cast("dict[str, Any]", value)
        fault = fault or f"bytes follow the Avro value of schema id {wire_id}"
    raise DecodeError(fault)


def decode_change(value: bytes | None) -> dict[str, Any]:
    """Return the fields of a change's value, absent ones left out. Raises DecodeError for what can be no change."""
    if not value:
        raise DecodeError("a null or empty value is no change; a delete is published as op delete")
    if len(value) > MAX_CHANGE_BYTES:
        raise DecodeError(f"the value has more than {MAX_CHANGE_BYTES} bytes")
    if value[0] == ord("{"):
        return cast("dict[str, Any]", parse_json(value))
    if value[0] == 0:
        return _change_of_avro(_decode("Change.avsc", value))
    raise DecodeError("the value begins neither with '{' (JSON) nor with the byte 0x00 (Avro)")


def _change_of_avro(fields: dict[str, Any]) -> dict[str, Any]:
    document = {name: _without_logical_type(value) for name, value in fields.items() if value is not None}
    if any(isinstance(value, str) and "\0" in value for value in document.values()):
        raise DecodeError("a text holds the character U+0000, which no database can keep")
    if fields["ttlSeconds"] == _INHERIT:
        del document["ttlSeconds"]
    else:
        document["ttlSeconds"] = fields["ttlSeconds"]
    for name in ("entity", "service"):
        if name in document:
            document[name] = _one_value(document[name])
    return document


def _without_logical_type(value: Any) -> Any:
    """A writer's own schema may call a number a timestamp, or a text a UUID."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - _EPOCH) // _MILLISECOND
    return str(value) if isinstance(value, UUID) else value


def _one_value(text: str) -> Any:
    """Read JSON text that will stand one level deeper than it does here."""
    values = parse_json(b"[" + text.encode() + b"]")
    if len(values) != 1:
        raise DecodeError("a JSON text in the Avro value holds not exactly one value")
    return values[0]


def encode_entity(entity: MergedEntity, texts: Texts | None = None) -> bytes:
    """Return the value of the entities topic. *texts*: its three parts, where somebody has encoded them already."""
    texts = texts or Texts(*map(canonical_json, (entity.entity, entity.service, entity.provenance)))
    return writers.header("MergedEntity.avsc") + entity_bytes(entity, texts)


def entity_fields(data: bytes) -> dict[str, Any]:
    """Return the fields of a merged entity as they travel: its three parts are JSON texts that nobody has read."""
    return _decode("MergedEntity.avsc", data)


def decode_entity(data: bytes) -> MergedEntity:
    """Raises DecodeError for bytes that :func:`encode_entity` of no version made."""
    fields = entity_fields(data)
    return MergedEntity(
        tenant=fields["tenant"],
        entity_ref=fields["entityRef"],
        version=fields["version"],
        content_hash=fields["contentHash"],
        entity=orjson.loads(fields["entity"]),
        service=orjson.loads(fields["service"]),
        provenance=orjson.loads(fields["provenance"]),
        change=fields["change"],
        changed=fields["changed"],
        stale=fields["stale"],
        merged_at=round(fields["mergedAt"].timestamp() * 1000),
    )


def encode_records(held: Records) -> bytes:
    return writers.header("Records.avsc") + records_bytes(held)


def decode_records(data: bytes) -> Records:
    """Raises DecodeError for bytes that :func:`encode_records` of no version made."""
    if data.startswith(writers.header("Records.avsc")):
        held = read_records(data, WIRE.size)
        if held is not None:
            return held
    fields = _decode("Records.avsc", data)
    return Records(
        version=fields["version"],
        merged_at=fields["mergedAt"],
        content_hash=fields["contentHash"],
        view_hash=fields["viewHash"],
        by_connector={row["connector"]: _record(row) for row in fields["records"]},
    )


def records_version(data: bytes) -> int:
    """Return the version of an encoded :class:`Records` without reading the rest of it."""
    return _long_at(data, WIRE.size)[0]


def entity_version(data: bytes) -> int:
    """Return the version of an encoded :class:`MergedEntity` without reading the rest; whatever else it is, a number.

    Every schema of it begins with tenant, entityRef and version.
    """
    at = WIRE.size
    for _ in ("tenant", "entityRef"):
        length, at = _long_at(data, at)
        at += max(0, length)
    return _long_at(data, at)[0]


def _long_at(data: bytes, at: int) -> tuple[int, int]:
    """Return the Avro long that begins there, and where it ends."""
    number = shift = 0
    for byte in data[at : at + 10]:
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:  # noqa: PLR2004 - the last byte of an Avro varint has its high bit clear
            break
        shift += 7
    return (number >> 1) ^ -(number & 1), at


def _record(row: dict[str, Any]) -> Record:
    ttl = row["ttlSeconds"]
    return Record(
        connector=row["connector"],
        generation=row["generation"],
        version=row["version"],
        observed_at=row["observedAt"],
        timestamp=row["timestamp"],
        ttl=None if ttl == _INHERIT else NEVER if ttl is None else ttl,
        priority=row["priority"],
        content_hash=row["contentHash"],
        content=None if row["content"] is None else row["content"].encode(),
        id=row["id"],
    )
