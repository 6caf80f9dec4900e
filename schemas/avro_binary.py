"""Avro's binary encoding of the two values that every change passes through: the state of an entity, and the entity.

A general writer and reader of Avro make an object of every field. Here the JSON texts stay bytes, and the record of a
connector that did not change is written as it was read. `schemas/codec.py` reads whatever is not of this shape.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from schemas.entities import MergedEntity, Texts
from schemas.records import NEVER, Record, Records

_NULL, _SOME = b"\x00", b"\x02"
"""The branches of a union of null and something else."""
_CHANGES: Final = {"created": b"\x00", "updated": b"\x02"}
_INHERITED: Final = b"\x00\x00"
_NEVER: Final = b"\x02"
_SECONDS: Final = b"\x04"

_LONG: Final = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
_HASH: Final = rb"(?:\x40([0-9a-f]{32})|\x00)"
_HEAD: Final = re.compile(rb"(%b)(%b)%b%b" % (_LONG, _LONG, _HASH, _HASH))
_FACTS: Final = re.compile(
    rb"(%b)(%b)(%b)(%b)(?:\x00\x00|(\x02)|\x04(%b))(?:\x00|\x02(%b))%b(?:\x00|\x02(%b))" % (*[_LONG] * 6, _HASH, _LONG)
)
"""generation, version, observedAt, timestamp, a ttl of null, the ttl, priority, contentHash, and content's length."""
_ONE_BYTE: Final = 0x80


def records_bytes(held: Records) -> bytes:
    """Return *held* by `schemas/avro/Records.avsc`, without the wire header."""
    head = (_long(held.version), _long(held.merged_at), _text(held.content_hash), _text(held.view_hash))
    return b"".join((*head, _array([_record(record) for _, record in sorted(held.by_connector.items())])))


def entity_bytes(entity: MergedEntity, texts: Texts) -> bytes:
    """Return *entity* by `schemas/avro/MergedEntity.avsc`, without the wire header; *texts* are its three parts."""
    return b"".join(
        (
            _text(entity.tenant),
            _text(entity.entity_ref),
            _long(entity.version),
            _text(entity.content_hash),
            *map(_bytes, texts),
            _CHANGES[entity.change],
            _array(list(map(_text, entity.changed))),
            _array(list(map(_text, entity.stale))),
            _long(entity.merged_at),
        )
    )


def read_records(data: bytes, at: int) -> Records | None:
    """Return what :func:`records_bytes` wrote into *data* from *at* on; None for any other bytes."""
    head = _HEAD.match(data, at)
    if head is None:
        return None
    version, merged_at, content_hash, view_hash = head.groups(b"")
    by_connector = {}
    try:
        count, at = _length(data, head.end())
        for _ in range(count):
            record, at = _read_record(data, at)
            by_connector[record.connector] = record
        if count:
            count, at = _length(data, at)
    except (IndexError, ValueError):
        return None
    if count or at != len(data):
        return None
    return Records(
        version=_number(version),
        merged_at=_number(merged_at),
        content_hash=content_hash.decode(),
        view_hash=view_hash.decode(),
        by_connector=by_connector,
    )


def _read_record(data: bytes, begins: int) -> tuple[Record, int]:
    """Return the record that begins there and where it ends. Raises IndexError or ValueError where there is none."""
    length, at = _length(data, begins)
    facts = _FACTS.match(data, at + length)
    if facts is None:
        raise ValueError
    generation, version, observed_at, timestamp, never, ttl, priority, content_hash, size = facts.groups()
    connector, at = data[at : at + length].decode(), facts.end()
    content = None
    if size is not None:
        ends = at + _number(size)
        content, at = data[at:ends], ends
        if not content.isascii():
            content.decode()
    length, at = _length(data, at)
    record = Record(
        connector=connector,
        generation=_number(generation),
        version=_number(version),
        observed_at=_number(observed_at),
        timestamp=_number(timestamp),
        ttl=NEVER if never else None if ttl is None else _number(ttl),
        priority=None if priority is None else _number(priority),
        content_hash=(content_hash or b"").decode(),
        content=content,
        id=data[at : at + length].decode(),
    )
    record.keep_encoded(data[begins : at + length])
    return record, at + length


def _record(record: Record) -> bytes:
    if record.encoded is not None:
        return record.encoded
    content = record.content
    return b"".join(
        (
            _text(record.connector),
            _long(record.generation),
            _long(record.version),
            _long(record.observed_at),
            _long(record.timestamp),
            _INHERITED if record.ttl is None else _NEVER if record.ttl == NEVER else _SECONDS + _long(int(record.ttl)),
            _NULL if record.priority is None else _SOME + _long(record.priority),
            _text(record.content_hash),
            _NULL if content is None else _SOME + _bytes(content),
            _text(record.id),
        )
    )


def _array(items: Sequence[bytes]) -> bytes:
    return b"%b%b\0" % (_long(len(items)), b"".join(items)) if items else b"\0"


def _text(text: str) -> bytes:
    return _bytes(text.encode())


def _bytes(text: bytes) -> bytes:
    return _long(len(text)) + text


@lru_cache(maxsize=4_096)
def _long(number: int) -> bytes:
    """Return *number* as Avro writes an int or a long: zigzag, seven bits to a byte, the lowest first."""
    left = number << 1 if number >= 0 else ~(number << 1)
    written = bytearray()
    while left >= _ONE_BYTE:
        written.append(left & 0x7F | _ONE_BYTE)
        left >>= 7
    written.append(left)
    return bytes(written)


@lru_cache(maxsize=4_096)
def _number(written: bytes) -> int:
    """Return the number that :func:`_long` wrote."""
    number = 0
    for byte in reversed(written):
        number = number << 7 | byte & 0x7F
    return (number >> 1) ^ -(number & 1)


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return the length that stands in *data* at *at*, and where it ends. Raises ValueError for a negative one."""
    if data[at] & 1:
        raise ValueError
    ends = at + 1
    if data[at] < _ONE_BYTE:
        return data[at] >> 1, ends
    while data[ends] >= _ONE_BYTE:
        ends += 1
    return _number(data[at : ends + 1]), ends + 1
