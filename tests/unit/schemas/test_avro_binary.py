"""Avro written and read by hand is what a general Avro library writes and reads."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro_binary import read_records
from schemas.canonical import canonical_json
from schemas.codec import _encode, decode_records, encode_entity, encode_records
from schemas.entities import MergedEntity
from schemas.errors import DecodeError
from schemas.records import NEVER, Record, Records

EXAMPLES = settings(max_examples=100, derandomize=True, database=None, deadline=None)
HEADER = 5

LONGS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)
HASHES = st.just("") | st.text("0123456789abcdef", min_size=32, max_size=32)
RECORDS = st.builds(
    Record,
    connector=st.text("abz09-", min_size=1, max_size=63),
    generation=LONGS,
    version=LONGS,
    observed_at=LONGS,
    timestamp=LONGS,
    ttl=st.none() | st.just(NEVER) | st.integers(1, 2**63 - 1),
    priority=st.none() | LONGS,
    content_hash=HASHES,
    content=st.none() | (TEXTS | st.just("é{" * 4_000)).map(str.encode),
    id=TEXTS,
)
HELD = st.builds(
    Records,
    version=LONGS,
    merged_at=LONGS,
    content_hash=HASHES,
    view_hash=HASHES,
    by_connector=st.lists(RECORDS, max_size=4).map(lambda found: {one.connector: one for one in found}),
)
JSON = st.dictionaries(TEXTS, TEXTS | LONGS, max_size=3)
ENTITIES = st.builds(
    MergedEntity,
    tenant=TEXTS,
    entity_ref=TEXTS,
    version=LONGS,
    content_hash=TEXTS,
    entity=JSON,
    service=JSON,
    provenance=JSON,
    change=st.sampled_from(["created", "updated"]),
    changed=st.lists(TEXTS, max_size=100),
    stale=st.lists(TEXTS, max_size=3),
    merged_at=LONGS,
)


def by_the_library(held):
    rows = [
        {
            "connector": one.connector,
            "generation": one.generation,
            "version": one.version,
            "observedAt": one.observed_at,
            "timestamp": one.timestamp,
            "ttlSeconds": "CONNECTOR" if one.ttl is None else None if one.ttl == NEVER else one.ttl,
            "priority": one.priority,
            "contentHash": one.content_hash,
            "content": None if one.content is None else one.content.decode(),
            "id": one.id,
        }
        for _, one in sorted(held.by_connector.items())
    ]
    head = {"version": held.version, "mergedAt": held.merged_at}
    hashes = {"contentHash": held.content_hash, "viewHash": held.view_hash}
    return _encode("Records.avsc", {**head, **hashes, "records": rows})


@EXAMPLES
@given(HELD)
def test_records_are_written_as_the_library_writes_them(held):
    assert encode_records(held) == by_the_library(held)


@EXAMPLES
@given(HELD)
def test_records_are_read_by_hand_and_written_again_as_they_were(held):
    data = by_the_library(held)
    assert read_records(data, HEADER) == held
    assert encode_records(decode_records(data)) == data


@EXAMPLES
@given(ENTITIES)
def test_a_merged_entity_is_written_as_the_library_writes_it(entity):
    fields = {
        "tenant": entity.tenant,
        "entityRef": entity.entity_ref,
        "version": entity.version,
        "contentHash": entity.content_hash,
        "entity": canonical_json(entity.entity).decode(),
        "service": canonical_json(entity.service).decode(),
        "provenance": canonical_json(entity.provenance).decode(),
        "change": entity.change,
        "changed": entity.changed,
        "stale": entity.stale,
        "mergedAt": entity.merged_at,
    }
    assert encode_entity(entity) == _encode("MergedEntity.avsc", fields)


RECORD = Record(
    connector="git", generation=0, version=2, observed_at=3, timestamp=4, ttl=5, priority=6, content_hash="a" * 32,
    content='{"entity":{"a":"é"},"service":{}}'.encode(), id="t/0/0",
)  # fmt: skip
ONE = by_the_library(Records(version=1, by_connector={"git": RECORD}))


def test_a_record_that_was_altered_is_not_written_as_it_was_read():
    held = decode_records(ONE)
    altered = replace(held.by_connector["git"], priority=7)
    expected = Records(version=1, by_connector={"git": replace(RECORD, priority=7)})
    assert encode_records(replace(held, by_connector={"git": altered})) == by_the_library(expected)


@pytest.mark.parametrize("ends", range(len(ONE)))
def test_records_that_are_cut_off_are_refused(ends):
    with pytest.raises(DecodeError):
        decode_records(ONE[:ends])


@pytest.mark.parametrize("data", [ONE + b"\0", ONE.replace("é".encode(), b"\xc3\xc3")], ids=["more", "no UTF-8"])
def test_records_that_are_spoiled_are_refused(data):
    with pytest.raises(DecodeError):
        decode_records(data)


def test_records_in_blocks_that_tell_their_size_are_read_too():
    """Other writers of Avro write arrays so: a negative count, the size of the block, the items."""
    empty = _encode("Records.avsc", {"version": 1, "mergedAt": 0, "contentHash": "", "viewHash": "", "records": []})
    block = ONE[len(empty) : -1]
    sized = empty[:-1] + b"\x01" + _sized(len(block)) + block + b"\0"
    assert (read_records(sized, HEADER), decode_records(sized)) == (None, decode_records(ONE))


def _sized(size):
    assert 64 <= size < 8192
    return bytes([(size << 1) & 0x7F | 0x80, size << 1 >> 7])
