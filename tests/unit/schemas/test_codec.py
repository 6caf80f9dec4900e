# ruff: noqa: E501 - one case to a line
"""Bytes of a change and what is read from them, in JSON and in Avro."""

import struct

import orjson
import pytest

from schemas.codec import (
    _encode,
    decode_change,
    decode_entity,
    decode_records,
    encode_entity,
    encode_records,
    entity_version,
    records_version,
)
from schemas.entities import MergedEntity
from schemas.errors import DecodeError
from schemas.records import NEVER, Record, Records

LIMIT = 1_000_000


def avro(**fields):
    return _encode("Change.avsc", {"op": "upsert", "ttlSeconds": "CONNECTOR", **fields})


def nested(levels):
    """Return JSON text that is *levels* deep."""
    return b"[" * levels + b"]" * levels


REFUSED = {
    "null": None,
    "empty": b"",
    "a list": b"[]",
    "a number": b"1",
    "leading white space": b' {"op": "delete"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a magic byte of 1": b"\x01\0\0\0\1",
    "no UTF-8": b'{"a": "\xc3\x28"}',
    "an overlong form": b'{"a": "\xc0\xaf"}',
    "an encoded surrogate": b'{"a": "\xed\xa0\x80"}',
    "a lone surrogate": b'{"a": "\\udfff"}',
    "U+0000 in a text": b'{"a": "\\u0000"}',
    "U+0000 in a key": b'{"\\u0000": 1}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b'{"a": -Infinity}',
    "a number beyond a double": b'{"a": 1e309}',
    "an integer beyond a double": b'{"a": 1%s}' % (b"0" * 400),
    "truncated": b'{"a": ',
    "something after it": b"{} {}",
    "a trailing comma": b'{"a": 1,}',
    "a control character": b'{"a": "\n"}',
}
REFUSED_AVRO = {
    "shorter than its header": b"\0\0\0\0",
    "an unknown schema": struct.pack(">bI", 0, 4_294_967_295) + b"x",
    "truncated": avro(entityRef="component:pay")[:-2],
    "only a header": avro()[:5],
    "something after it": avro() + b"\0",
    "no JSON in entity": avro(entity="{"),
    "two values in entity": avro(entity="{}, {}"),
    "an empty text in entity": avro(entity=""),
    "NaN in service": avro(service='{"a": NaN}'),
    "U+0000 in service": avro(service='{"a": "\\u0000"}'),
    "a lone surrogate in entity": avro(entity='{"a": "\\ud800"}'),
    "no UTF-8 in a text": avro(entityRef="abcdef").replace(b"abcdef", b"abc\xff\xfef"),
}


@pytest.mark.parametrize("value", (REFUSED | REFUSED_AVRO).values(), ids=REFUSED | REFUSED_AVRO)
def test_decoding_refuses(value):
    with pytest.raises(DecodeError):
        decode_change(value)


def test_u0000_is_refused_in_the_plain_texts_of_avro_too():
    with pytest.raises(DecodeError):
        decode_change(avro(id="a\0b"))


def test_a_change_of_exactly_a_million_bytes_passes():
    value = b'{"a": "%s"}' % (b"x" * (LIMIT - 9))
    assert (len(value), decode_change(value).keys()) == (LIMIT, {"a"})


def test_a_change_of_one_byte_more_is_refused():
    with pytest.raises(DecodeError):
        decode_change(b'{"a": "%s"}' % (b"x" * (LIMIT - 8)))


def test_a_depth_of_1024_passes_in_json():
    assert decode_change(b'{"a":%s}' % nested(1023)).keys() == {"a"}


def test_a_depth_of_1025_is_refused_in_json():
    with pytest.raises(DecodeError):
        decode_change(b'{"a":%s}' % nested(1024))


def test_a_depth_of_1024_passes_in_the_entity_text_of_avro():
    """The text stands one level below the change, as it does in JSON."""
    assert decode_change(avro(entity=nested(1023).decode())).keys() == {"op", "entity"}


@pytest.mark.parametrize("field", ["entity", "service"])
def test_a_depth_of_1025_is_refused_in_the_texts_of_avro(field):
    with pytest.raises(DecodeError):
        decode_change(avro(**{field: nested(1024).decode()}))


def test_of_duplicate_keys_the_last_counts():
    assert decode_change(b'{"op": 1, "op": 2}') == {"op": 2}


def test_integers_outside_64_bits_are_read_as_doubles():
    numbers = decode_change(b'{"a": 18446744073709551616, "b": 9223372036854775807}')
    assert orjson.dumps(numbers) == b'{"a":1.8446744073709552e+19,"b":9223372036854775807}'


def test_the_smallest_numbers_are_doubles():
    assert decode_change(b'{"a": 1e-400}') == {"a": 0.0}


def test_texts_beyond_the_basic_plane_pass():
    assert decode_change('{"a": "\\ud83d\\ude00 😀"}'.encode()) == {"a": "😀 😀"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"op": "upsert"}),
        ({"ttlSeconds": None}, {"op": "upsert", "ttlSeconds": None}),
        ({"ttlSeconds": 60}, {"op": "upsert", "ttlSeconds": 60}),
        ({"observedAt": 5}, {"op": "upsert", "observedAt": 5}),
        ({"observedAt": "2026-01-01T00:00:00Z"}, {"op": "upsert", "observedAt": "2026-01-01T00:00:00Z"}),
        ({"entity": '{"a": null}', "service": "null"}, {"op": "upsert", "entity": {"a": None}, "service": None}),
        ({"op": "delete", "entityRef": "a:b", "version": 0}, {"op": "delete", "entityRef": "a:b", "version": 0}),
    ],
    ids=["nothing", "ttl null", "ttl", "epoch ms", "RFC 3339", "texts", "delete"],
)
def test_avro_says_what_the_same_json_says(fields, expected):
    assert decode_change(avro(**fields)) == expected


def test_in_json_an_absent_ttl_differs_from_null():
    assert (decode_change(b"{}"), decode_change(b'{"ttlSeconds": null}')) == ({}, {"ttlSeconds": None})


def record(**fields):
    values = {
        "connector": "git", "generation": 1, "version": -2, "observed_at": 3, "timestamp": 4, "ttl": None,
        "priority": None, "content_hash": "ab", "content": b'{"entity":{},"service":{}}', "id": "t/0/0",
    }  # fmt: skip
    return Record(**{**values, **fields})


@pytest.mark.parametrize(
    "fields",
    [{}, {"ttl": NEVER}, {"ttl": 2**63 - 1}, {"priority": -(2**63)}, {"content": None, "content_hash": ""}],
    ids=["left to the connector", "never", "longest ttl", "lowest priority", "delete"],
)
def test_records_come_back_as_they_were_written(fields):
    held = Records(
        version=1 << 51, merged_at=5, content_hash="c", view_hash="v", by_connector={"git": record(**fields)}
    )
    assert decode_records(encode_records(held)) == held


@pytest.mark.parametrize("version", [0, 1, 63, 64, 1 << 20, 1_700_000_000 << 20, 2**63 - 1])
def test_the_version_of_records_is_read_without_the_rest(version):
    assert records_version(encode_records(Records(version=version))) == version


@pytest.mark.parametrize("version", [0, 63, 64, 1_700_000_000 << 20, 2**63 - 1])
@pytest.mark.parametrize("ref", ["component:default/pay", f"component:{'n' * 63}/{'s' * 63}"])
def test_the_version_of_a_merged_entity_is_read_without_the_rest(ref, version):
    entity = MergedEntity(
        tenant="acme", entity_ref=ref, version=version, content_hash="h", entity={}, service={}, provenance={},
        change="updated", changed=[], stale=[], merged_at=0,
    )  # fmt: skip
    assert entity_version(encode_entity(entity)) == version


def test_a_merged_entity_comes_back_as_it_was_written():
    entity = MergedEntity(
        tenant="default", entity_ref="component:default/pay", version=1, content_hash="h", entity={"a": [1.0, None]},
        service={}, provenance={"/a": ["x"]}, change="updated", changed=["/a"], stale=["x"], merged_at=1_700_000_000_123,
    )  # fmt: skip
    assert decode_entity(encode_entity(entity)) == entity
