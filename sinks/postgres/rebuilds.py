"""Partitions that are read anew: what was seen of them is marked, what was not is swept at the end."""

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from schemas.errors import FencedError
from schemas.partitions import partition_of
from schemas.refs import entity_key, parse_entity_key
from schemas.statements import statements
from schemas.topics import Topics
from sinks.base import Delivery, Partition, Positions
from sinks.postgres.canonical import Canonical
from sinks.postgres.history import History
from sinks.postgres.merges import merge_rows
from sinks.postgres.rows import Row

QUERIES: Final = statements(Path(__file__).with_name("rebuilds.sql"))
PAGE: Final = 2_000
"""Rows that are looked at and swept in one go."""
_MARK: Final = statements(Path(__file__).with_name("queries.sql"))["mark_seen"]


class _Begun(NamedTuple):
    """Where and when reading anew began."""

    first: int | None
    at: datetime | None


class Rebuilds:
    """The rows of `sink_rebuilds` and `sink_seen` of one sink."""

    def __init__(self, sink: str, topics: Topics) -> None:
        self._sink = sink
        self._topics = topics
        self._under_way: dict[Partition, _Begun] = {}

    def request(self, cursor: psycopg.Cursor, partitions: Collection[Partition]) -> None:
        for partition in sorted(partitions):
            cursor.execute(QUERIES["request"], self._row(partition))

    def read(self, cursor: psycopg.Cursor) -> set[Partition]:
        """Learn what is under way; return what was asked for and has not begun."""
        cursor.execute(QUERIES["under_way"], {"sink": self._sink})
        self._under_way = {(topic, partition): _Begun(first, begun_at) for topic, partition, first, begun_at in cursor}
        return {partition for partition, begun in self._under_way.items() if begun.at is None}

    def begin(self, cursor: psycopg.Cursor, starts: Positions) -> None:
        """Of each partition forget what was seen earlier."""
        for partition, first in sorted(starts.items()):
            row = self._row(partition)
            begun = cursor.execute(QUERIES["begin"], {**row, "first_offset": first}).fetchone()
            cursor.execute(QUERIES["forget_seen"], row)
            self._under_way[partition] = _Begun(first, None if begun is None else begun[0])

    @property
    def under_way(self) -> Positions:
        """Of each partition that is read anew, where it began; 0 where it has not."""
        return {partition: begun.first or 0 for partition, begun in self._under_way.items()}

    def mark(self, cursor: psycopg.Cursor, deliveries: Sequence[Delivery]) -> None:
        """Keep in mind that the keys of *deliveries* are there, in the transaction of their rows."""
        rows = {
            (delivery.topic, delivery.key): self._seen_row(delivery)
            for delivery in deliveries
            if (delivery.topic, delivery.partition) in self._under_way and _is_text(delivery.key)
        }
        merge_rows(cursor, "mark_seen", _MARK, list(rows.values()))

    def sweep(
        self, connection: psycopg.Connection, partition: Partition, canonical: Canonical, history: History
    ) -> int:
        """Take away the rows of *partition* that were not seen, a page at a time; return how many there were.

        Repeated after a fault it goes on where it was. A row that was written meanwhile is left alone.
        """
        topic, number = partition
        name = "records" if topic == self._topics.changelog else "entities"
        swept, after = 0, ("", "")
        while True:
            with connection.transaction(), connection.cursor() as cursor:
                self.hold(cursor, partition)
                cursor.execute(QUERIES[f"unseen_{name}"], {**self._page(after), "topic": topic})
                page = cursor.fetchall()
                gone: list[Row] = [
                    {"tenant": tenant, "entity_ref": ref, "version": version}
                    for tenant, ref, version in page
                    if partition_of(entity_key(tenant, ref), self._topics.partitions) == number
                ]
                if name == "entities":
                    history.add_swept(cursor, gone)
                swept += merge_rows(cursor, f"sweep_{name}", QUERIES[f"sweep_{name}"], gone)
                keys = [entity_key(row["tenant"], row["entity_ref"]) for row in gone]
                if name == "records":
                    canonical.write(cursor, touched=keys)
                else:
                    canonical.write(cursor, vanished=keys)
            if len(page) < PAGE:
                return swept
            after = page[-1][:2]

    def finish(self, cursor: psycopg.Cursor, partition: Partition) -> None:
        cursor.execute(QUERIES["finish"], self._row(partition))
        cursor.execute(QUERIES["forget_all_seen"], {"sink": self._sink})
        self._under_way.pop(partition, None)

    def hold(self, cursor: psycopg.Cursor, partition: Partition) -> None:
        """What was seen must stay until the transaction ends: a rebuild that began later has forgotten it."""
        cursor.execute(QUERIES["hold"], {**self._row(partition), "begun_at": self._under_way[partition].at})
        if cursor.fetchone() is None:
            raise FencedError(f"another process took over the rebuild of {partition[0]} partition {partition[1]}")

    def _page(self, after: tuple[str, str]) -> dict[str, Any]:
        return {"sink": self._sink, "tenant": after[0], "entity_ref": after[1], "limit": PAGE}

    def _row(self, partition: Partition) -> dict[str, Any]:
        return {"sink": self._sink, "topic": partition[0], "partition": partition[1]}

    def _seen_row(self, delivery: Delivery) -> Row:
        tenant, ref = parse_entity_key(delivery.key)
        return {**self._row((delivery.topic, delivery.partition)), "tenant": tenant, "entity_ref": ref}


def _is_text(key: bytes) -> bool:
    """Whether there can be a row of that key."""
    try:
        return "\0" not in key.decode()
    except UnicodeDecodeError:
        return False
