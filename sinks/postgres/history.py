"""`entity_history`: a row for each change of an entity, in the transaction that makes it, and its partitions.

What the table holds cannot be made anew: the topic keeps no more than the last version of an entity. So nothing that
is read again adds a row, and a rebuild removes none.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from schemas.canonical import canonical_json
from schemas.refs import parse_entity_key
from schemas.statements import statements
from sinks.postgres.changes import Content, Held, changes
from sinks.postgres.merges import merge_rows
from sinks.postgres.rows import Row

QUERIES: Final = statements(Path(__file__).with_name("history.sql"))
WEEK: Final = timedelta(weeks=1)
AHEAD: Final = 2
"""So many weeks have their partition before they begin."""
FUTURE: Final = timedelta(days=366)
"""What lies further ahead was never written by a processor, however wrong its clock."""
_PREFIX: Final = "entity_history_"
_LOCK: Final = 0x6D61696E68697374
"""Its key among the advisory locks of the database: "mainhist"."""
_DROP_MS: Final = 2_000
"""Dropping a partition waits for readers, and whoever comes later waits behind it."""


class History:
    """The rows and partitions of `entity_history`. *kept*: how long a change is kept at least."""

    def __init__(self, kept: timedelta) -> None:
        self._kept = kept

    def changes(self, cursor: psycopg.Cursor, arrivals: Mapping[bytes, Sequence[Row]]) -> list[Row]:
        """Return what *arrivals*, by entity key, change; to be asked before they are written to `entities`."""
        if not arrivals:
            return []
        asked = [
            {**_identity(key), "version": max(row["version"] for row in rows), "content_hash": _only_hash(rows)}
            for key, rows in arrivals.items()
        ]
        cursor.execute(QUERIES["standing"], {"rows": canonical_json(asked).decode()}, prepare=False)
        held: dict[tuple[str, str], Held] = {}
        for tenant, ref, version, is_there, content_hash, *texts in cursor:
            content = Content(content_hash, *(text or "{}" for text in texts)) if is_there else None
            held[tenant, ref] = Held(version, content)
        self._retract(cursor, arrivals, held)
        return [row for key, rows in sorted(arrivals.items()) for row in changes(rows, held.get(parse_entity_key(key)))]

    def add(self, cursor: psycopg.Cursor, rows: Iterable[Row]) -> None:
        """Write *rows*, in the transaction that wrote the entities; what is older than is kept is left out."""
        now = datetime.now(UTC)
        kept = [row for row in rows if now - self._kept <= _moment(row["at"]) <= now + FUTURE]
        if kept:
            _make(cursor, {week_of(_moment(row["at"])) for row in kept})
            merge_rows(cursor, "add_history", QUERIES["add_history"], kept)

    def add_swept(self, cursor: psycopg.Cursor, rows: Sequence[Row]) -> None:
        """Tell the end of entities that a rebuild did not find; to be called before they are marked.

        When it was is not known: the topic has forgotten it.
        """
        if rows:
            _make(cursor, {week_of(datetime.now(UTC))})
            merge_rows(cursor, "add_swept", QUERIES["add_swept"], rows)

    def make_ahead(self, cursor: psycopg.Cursor) -> None:
        """Make the partitions of this week and of the next ones."""
        this = week_of(datetime.now(UTC))
        _make(cursor, {this + each * WEEK for each in range(AHEAD + 1)})

    def drop_oldest(self, cursor: psycopg.Cursor) -> int:
        """Drop the oldest partition if nothing in it is to be kept; return how many were dropped."""
        # A day later than what is left out: nobody may be about to write to it.
        until = datetime.now(UTC) - self._kept - timedelta(days=1)
        oldest = min(_existing(cursor), default=None)
        if oldest is None or datetime.combine(oldest + WEEK, time(), UTC) > until:
            return 0
        cursor.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_DROP_MS))
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_table(oldest)))
        return 1

    def _retract(
        self, cursor: psycopg.Cursor, arrivals: Mapping[bytes, Sequence[Row]], held: Mapping[tuple[str, str], Held]
    ) -> None:
        """An entity whose last version is read again after it was swept was never gone."""
        back = []
        for key, rows in arrivals.items():
            found = held.get(parse_entity_key(key))
            versions = [row["version"] for row in rows if "deleted_at" not in row]
            if found is not None and found.content is None and found.version in versions:
                back.append({**_identity(key), "version": found.version})
        if back:
            cursor.execute(QUERIES["retract"], {"rows": canonical_json(back).decode()}, prepare=False)


def week_of(moment: datetime) -> date:
    """Return the Monday of the week, in UTC."""
    day = moment.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


def _make(cursor: psycopg.Cursor, weeks: set[date]) -> None:
    if weeks <= _existing(cursor):
        return
    cursor.execute(QUERIES["exclude"], {"lock": _LOCK})
    for week in sorted(weeks - _existing(cursor)):
        table = _table(week)
        # Made apart and attached: a partition that is made in its place keeps everybody off the whole table.
        cursor.execute(
            sql.SQL("CREATE TABLE {} (LIKE entity_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS)").format(table)
        )
        cursor.execute(
            sql.SQL("ALTER TABLE entity_history ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                table, f"{week.isoformat()} 00:00:00+00", f"{(week + WEEK).isoformat()} 00:00:00+00"
            )
        )


def _existing(cursor: psycopg.Cursor) -> set[date]:
    names = [name for (name,) in cursor.execute(QUERIES["partitions"])]
    return {date.fromisoformat(name.removeprefix(_PREFIX).replace("_", "-")) for name in names}


def _table(week: date) -> sql.Identifier:
    return sql.Identifier(f"{_PREFIX}{week:%Y_%m_%d}")


def _identity(key: bytes) -> dict[str, Any]:
    tenant, ref = parse_entity_key(key)
    return {"tenant": tenant, "entity_ref": ref}


def _only_hash(rows: Sequence[Row]) -> str | None:
    """Return the hash of a version that comes alone: if it is there already, its content is not asked for."""
    return rows[0].get("content_hash") if len(rows) == 1 else None


def _moment(at: str) -> datetime:
    if at.endswith("infinity"):
        return datetime.max.replace(tzinfo=UTC)
    return datetime.fromisoformat(at)
