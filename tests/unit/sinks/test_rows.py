"""Rows of the Postgres sink: times of any size, and one change per key."""

from datetime import datetime

import pytest

from schemas.codec import encode_entity, encode_records
from schemas.entities import MergedEntity
from schemas.errors import DecodeError
from schemas.records import NEVER, Record, Records
from sinks.base import Delivery
from sinks.entities import read_entity
from sinks.postgres.rows import Rows, timestamp

KEY = b"component:default/pay"


def entity(version: int, *, name: str = "pay") -> bytes:
    return encode_entity(
        MergedEntity(
            tenant="default",
            entity_ref=f"component:default/{name}",
            version=version,
            content_hash="h",
            entity={"metadata": {"name": name}},
            service={},
            provenance={},
            change="created",
            changed=[""],
            stale=[],
            merged_at=0,
        )
    )


def records(version: int, **ttls: float | None) -> bytes:
    held = {
        connector: Record(
            connector=connector,
            generation=0,
            version=1,
            observed_at=1000,
            timestamp=1000,
            ttl=ttl,
            priority=None,
            content_hash="h",
            content=b'{"entity":{"metadata":{}},"service":{}}',
            id="i",
        )
        for connector, ttl in ttls.items()
    }
    return encode_records(Records(version=version, by_connector=held))


def delivery(value: bytes | None, *, key: bytes = KEY, headers: tuple[tuple[str, bytes], ...] = ()) -> Delivery:
    return Delivery(topic="t", partition=0, offset=0, key=key, value=value, headers=list(headers), timestamp=0)


def gone(version: int) -> Delivery:
    return delivery(None, headers=(("version", b"%d" % version), ("mergedAt", b"5"), ("reason", b"expired")))


def statements(rows: Rows) -> dict[str, list[dict]]:
    return {name: values for name, values in rows.statements() if values}


@pytest.mark.parametrize(
    ("epoch_ms", "expected"),
    [
        (-(2**63), "-infinity"),
        (-62_135_510_400_001, "-infinity"),
        (0, "1970-01-01T00:00:00+00:00"),
        (253_402_214_399_999, "9999-12-30T23:59:59.999000+00:00"),
        (253_402_214_400_000, "infinity"),
        (2**63 - 1, "infinity"),
        (NEVER, "infinity"),
    ],
)
def test_a_time_beyond_every_calendar_is_infinite(epoch_ms, expected):
    assert expected == timestamp(epoch_ms)


def test_the_last_finite_time_is_one_that_python_has():
    assert datetime.fromisoformat(timestamp(-62_135_510_400_000)).year == 1


def test_of_one_key_only_the_highest_version_is_written():
    rows = Rows()
    for version in (3, 5, 4):
        rows.add_entity(delivery(entity(version)))
    assert [row["version"] for row in statements(rows)["upsert_entity"]] == [5]


def test_an_entity_that_came_and_went_in_one_batch_keeps_its_last_content():
    rows = Rows()
    rows.add_entity(delivery(entity(3)))
    rows.add_entity(gone(4))
    assert list(statements(rows)) == ["upsert_entity", "mark_vanished"]


def test_records_after_a_forgetting_stand_alone():
    rows = Rows()
    rows.add_records(delivery(records(3, git=None)))
    rows.add_records(gone(4))
    rows.add_records(delivery(records(9, cmdb=60, pager=NEVER)))
    found = statements(rows)
    assert found["forget_records"][0]["version"] == 4
    assert [(row["data_source"], row["expiration_date"]) for row in found["upsert_record"]] == [
        ("cmdb", "1970-01-01T00:01:01+00:00"),
        ("pager", "infinity"),
    ]


def test_records_before_a_forgetting_do_not_come_back():
    rows = Rows()
    rows.add_records(gone(4))
    rows.add_records(delivery(records(3, cmdb=60)))
    assert statements(rows).keys() == {"forget_records"}


@pytest.mark.parametrize(
    "poison",
    [
        delivery(None),
        delivery(None, headers=(("version", b"1_0"), ("mergedAt", b"5"))),
        delivery(b""),
        delivery(b"\x00\x00\x00\x00\x02garbage"),
        delivery(entity(1), key=b"component:default/other"),
        delivery(entity(1), key=b"\xff\xfe"),
        delivery(entity(1), key=b"no reference"),
        delivery(entity(1), key=b""),
    ],
)
def test_what_no_processor_wrote_is_refused(poison):
    with pytest.raises(DecodeError):
        read_entity(poison)


def test_a_version_beyond_64_bits_is_refused():
    with pytest.raises(DecodeError):
        Rows().add_entity(gone(9_999_999_999_999_999_999))


def test_content_that_is_no_json_is_refused():
    broken = records(1, git=None).replace(b'{"metadata":{}}', b'{"metadata":{]}')
    with pytest.raises(DecodeError):
        Rows().add_records(delivery(broken))
