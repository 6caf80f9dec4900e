"""Rows into tables: one after the other in a pipeline, or, from some twenty on, by COPY and one statement."""

from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from sinks.postgres.rows import Row

COPY_FROM: Final = 20
"""From so many rows on COPY is faster; `python -m tests.benchmarks.sink_rows` shows it."""

_KEY: Final = {"tenant": "text", "entity_ref": "text"}
COLUMNS: Final[Mapping[str, Mapping[str, LiteralString]]] = {
    "upsert_entity": {
        **_KEY,
        **dict.fromkeys(("kind", "namespace", "name"), "text"),
        **dict.fromkeys(("entity", "service", "provenance"), "jsonb"),
        "stale": "text[]",
        "version": "bigint",
        "content_hash": "text",
        "merged_at": "timestamptz",
    },
    "mark_vanished": {**_KEY, "version": "bigint", "deleted_at": "timestamptz"},
    "forget_records": {**_KEY, "version": "bigint"},
    "drop_absent_records": {**_KEY, "state_version": "bigint", "data_sources": "text[]"},
    "upsert_record": {
        "id": "uuid",
        **_KEY,
        **dict.fromkeys(("data_source", "api_version", "kind"), "text"),
        **dict.fromkeys(("metadata", "spec", "service"), "jsonb"),
        "priority_score": "bigint",
        "content_hash": "text",
        "last_touched": "timestamptz",
        "expiration_date": "timestamptz",
        "deleted": "boolean",
        "generation": "bigint",
        "source_version": "bigint",
        "change_id": "text",
        "state_version": "bigint",
    },
    "keep_outages": {"partition": "integer", "version": "bigint", "words": "jsonb"},
    "mark_seen": {"sink": "text", "topic": "text", **_KEY, "partition": "integer"},
    "add_history": {
        **dict.fromkeys(("tenant_id", "entity_ref"), "text"),
        "version": "bigint",
        "at": "timestamptz",
        "change": "text",
        "changed": "text[]",
        **dict.fromkeys(("before", "after"), "json"),
        "connectors": "text[]",
    },
    "add_swept": {**_KEY, "version": "bigint"},
    "sweep_entities": {**_KEY, "version": "bigint"},
    "sweep_records": {**_KEY, "version": "bigint"},
}
"""Of each statement that reads `incoming`, the columns of its rows."""


def merge_rows(cursor: psycopg.Cursor, name: str, statement: LiteralString, rows: Sequence[Row]) -> int:
    """Run the statement *name* on *rows*, in the transaction that is under way; return how many rows it altered."""
    if not rows:
        return 0
    columns = COLUMNS[name]
    if len(rows) < COPY_FROM:
        cursor.executemany(_for_one_row(name, statement), rows)
        return cursor.rowcount
    _copy(cursor, columns, rows)
    cursor.execute(statement)
    altered = cursor.rowcount
    cursor.execute("DROP TABLE incoming")
    return altered


@cache
def _for_one_row(name: str, statement: LiteralString) -> bytes:
    given = sql.SQL(", ").join(
        sql.SQL("{}::{} AS {}").format(sql.Placeholder(column), sql.SQL(kind), sql.Identifier(column))
        for column, kind in COLUMNS[name].items()
    )
    return sql.SQL("WITH incoming AS (SELECT {}) {}").format(given, sql.SQL(statement)).as_bytes()


def _copy(cursor: psycopg.Cursor, columns: Mapping[str, LiteralString], rows: Sequence[Row]) -> None:
    # Dropped with the transaction: behind a pooler the next one may be on another connection.
    declared = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind)) for column, kind in columns.items()
    )
    cursor.execute(sql.SQL("CREATE TEMP TABLE incoming ({}) ON COMMIT DROP").format(declared))
    values: Any = itemgetter(*columns)
    with cursor.copy("COPY incoming FROM STDIN") as copy:
        for row in rows:
            copy.write_row(values(row))
