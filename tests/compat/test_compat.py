"""The version before this one and this one read each other's topics and tables: an upgrade can be rolled, and back."""

import base64
import io
import json
import re
import struct
from contextlib import closing

import fastavro
import psycopg
import pytest

from schemas import database as schema
from schemas.statements import statements
from sinks.base import SinkSettings
from sinks.postgres.sink import PostgresSink
from tests.compat.versions import GOLDEN, ROOT, common, differences, exchange, golden_records

RECORDS = {"entities": "MergedEntity.avsc", "changelog": "Records.avsc", "changes": "Change.avsc"}


@pytest.fixture
def upgraded(database):
    """Yield the database that the previous version filled, migrated by this one."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute((GOLDEN / "tables.sql").read_text())
    schema.migrate(database)
    return database


def test_what_the_previous_version_wrote_is_read():
    kept = golden_records()

    assert differences(kept, exchange(ROOT, "read", rows=kept)) == []
    assert {row["topic"] for row in kept} == RECORDS.keys()


def test_what_was_kept_of_the_previous_version_is_what_it_writes(previous):
    if previous is not None:
        written = [{**row, "told": None} for row in exchange(previous, "write")]
        kept = [{**row, "told": None} for row in golden_records()]
        assert written[: len(kept)] == kept


def test_what_this_version_writes_is_read_by_the_previous_one(previous):
    written = exchange(ROOT, "write")
    if previous is not None:
        assert differences(written, exchange(previous, "read", rows=written)) == []
    assert [row for row in written if not previous_schemas_read(row)] == []


def previous_schemas_read(row):
    """Whether the kept schemas of the previous version know the id of the value, and read the value."""
    value = b"" if row["value"] is None else base64.b64decode(row["value"])
    if not value.startswith(b"\0"):
        return True
    ids = json.loads((GOLDEN / "avro/ids.json").read_text())
    named = ids.get(str(struct.unpack_from(">bI", value)[1]))
    if named is None:
        return False
    writer, reader = (json.loads((GOLDEN / "avro" / file).read_text()) for file in (named, RECORDS[row["topic"]]))
    buffer = io.BytesIO(value[5:])
    fastavro.schemaless_reader(buffer, writer, reader)
    return not buffer.read()


def test_tables_of_the_previous_version_keep_their_rows_and_take_new_ones(upgraded):
    before = rows_of(upgraded)
    newer = [with_version(row) for row in exchange(ROOT, "write")]
    exchange(ROOT, "project", upgraded, rows=newer)

    assert {ref: version + 1000 for ref, version in before.items()} == rows_of(upgraded)
    assert len(before) == 2


def with_version(row):
    """Return a record as it is written 1000 versions later."""
    if row["value"] is None:
        headers = [[name, str(int(text) + 1000) if name == "version" else text] for name, text in row["headers"]]
        return {**row, "headers": headers}
    if row["topic"] != "entities":
        return row
    value = base64.b64decode(row["value"])
    own = fastavro.parse_schema(json.loads((ROOT / "schemas/avro/MergedEntity.avsc").read_text()))
    told = fastavro.schemaless_reader(io.BytesIO(value[5:]), own)
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, own, {**told, "version": told["version"] + 1000})
    return {**row, "value": base64.b64encode(value[:5] + buffer.getvalue()).decode()}


def rows_of(dsn):
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute("SELECT entity_ref, version FROM entities").fetchall())


def test_the_previous_version_works_on_this_versions_tables(previous, upgraded):
    """While an upgrade is rolled, processes of the previous version go on after the migration."""
    for statement in statements(GOLDEN / "queries.sql").values():
        parameters = dict.fromkeys(re.findall(r"%\((\w+)\)s", statement))
        with psycopg.connect(upgraded) as connection:
            connection.execute(f"EXPLAIN {statement}", parameters)
    if previous is not None:
        newer = [with_version(row) for row in golden_records()]
        exchange(previous, "project", upgraded, rows=newer)
        assert set(rows_of(upgraded).values()) == {row["told"]["version"] + 1000 for row in newer if is_live(row)}


def test_entities_of_the_previous_version_become_services_by_themselves(upgraded):
    with closing(PostgresSink(SinkSettings(name="postgres", client={}, dsn=upgraded))) as sink:
        sink.tend()
    with psycopg.connect(upgraded) as connection:
        live = "SELECT entity_ref FROM entities WHERE deleted_at IS NULL AND kind IN ('component', 'group') ORDER BY 1"
        made = "SELECT external_id FROM services UNION SELECT external_id FROM teams ORDER BY 1"
        wanted, found = (connection.execute(query).fetchall() for query in (live, made))
    assert wanted
    assert found == wanted


def is_live(row):
    return row["topic"] == "entities" and row["value"] is not None


def test_a_database_that_a_later_version_migrated_is_taken_as_it_is(database):
    schema.migrate(database)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    schema.migrate(database)

    assert schema.check(database) is None


def test_a_difference_between_what_was_written_and_read_is_seen():
    row = {"told": {"version": 1, "by_connector": {"git": {"ttl": 1}}}}

    assert differences([row], [{"version": 2}])
    assert differences([row], [{"version": 1, "by_connector": {"git": {"ttl": 2}}}])
    assert not differences([row], [{"version": 1, "by_connector": {"git": {"ttl": 1, "new": True}}, "new": 1}])
    assert common({"a": 1, "b": 2}, {"a": 3}) == {"a": 1}
