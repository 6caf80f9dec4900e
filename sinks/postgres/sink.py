"""Merged entities and held records as rows, each version once, with the offsets in the same transaction."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

import psycopg

from schemas.errors import ConfigError, Skippable
from schemas.statements import statements
from schemas.topics import OUTAGES_KEY
from sinks.base import Delivery, Partition, Positions, Sink, SinkSettings
from sinks.postgres import rebuilds
from sinks.postgres.canonical import MENDED_AT_ONCE, Canonical
from sinks.postgres.history import History
from sinks.postgres.merges import merge_rows
from sinks.postgres.offsets import Offsets
from sinks.postgres.options import read_options
from sinks.postgres.rebuilds import Rebuilds
from sinks.postgres.rows import Rows
from sinks.postgres.session import Session

PURGED_AT_ONCE: Final = 1_000
MENDING_SECONDS: Final = 1.0
HISTORY_SECONDS: Final = 600.0
"""Between two looks at the partitions of the history."""
_QUERIES: Final = statements(Path(__file__).with_name("queries.sql"))


class PostgresSink(Sink):
    """Writes `entities`, their history, `entity_records`, the canonical model, and the `sink_…` tables."""

    tend_seconds: ClassVar[float] = 1.0
    reserved_keys: ClassVar[frozenset[bytes]] = frozenset({OUTAGES_KEY})

    rebuild_means: ClassVar[str] = (
        "all rows are compared with the topics and written anew where they differ; rows of entities that the topics no"
        " longer hold are marked as vanished, records that nobody holds are removed"
    )

    def __init__(self, settings: SinkSettings) -> None:
        super().__init__(settings)
        if not settings.dsn:
            raise ConfigError("the sink postgres needs a database; set postgres.dsn")
        self._session = Session(settings.dsn, settings.name)
        self._offsets = Offsets(settings.name)
        self._canonical = Canonical(settings.service_kinds)
        self._history = History(read_options(settings.options).keep_history)
        self._are_kinds_heeded = False
        self._tend_history_at = 0.0
        self._rebuilds = Rebuilds(settings.name, settings.topics)
        # Refused once, and to be marked as seen all the same: what cannot be written is no reason to sweep its row.
        self._refused: list[Delivery] = []

    @property
    def topics(self) -> Sequence[str]:
        return (self.settings.topics.entities, self.settings.topics.changelog)

    def stored_positions(self, partitions: Collection[Partition]) -> Positions:
        """Leave out what is to be read anew: as asked for, or since ends of entities may have been missed."""
        with self._cursor() as cursor:
            stored, idle = self._offsets.read(cursor, partitions)
            anew = self._rebuilds.read(cursor) | idle
        self._refused = []
        return {partition: offset for partition, offset in stored.items() if partition not in anew}

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        try:
            rows = self._rows(batch)
            with self._cursor() as cursor:
                self._offsets.move(cursor, positions)
                changes = self._history.changes(cursor, rows.arrivals)
                for name, values in rows.statements():
                    merge_rows(cursor, name, _QUERIES[name], values)
                self._history.add(cursor, changes)
                self._rebuilds.mark(cursor, [*self._refused, *batch])
                self._canonical.write(
                    cursor, rows.upserts.values(), vanished=rows.vanished, touched=[*rows.held, *rows.forgotten]
                )
                self._offsets.attempt(positions)
        except Skippable:
            self._refused += batch
            raise
        self._offsets.settle(positions)
        self._refused = []

    def request_rebuild(self, partitions: Collection[Partition]) -> None:
        with self._cursor() as cursor:
            self._rebuilds.request(cursor, partitions)

    def rewind(self, starts: Positions) -> None:
        """A partition of which nothing was ever written has nothing to sweep, unless somebody asked for it."""
        asked = self._rebuilds.under_way
        anew = {at: first for at, first in starts.items() if self._offsets.is_known(at) or at in asked}
        with self._cursor() as cursor:
            self._offsets.move(cursor, anew, is_rewind=True)
            self._rebuilds.begin(cursor, anew)
        self._offsets.settle(anew)

    def rebuilding(self, partitions: Collection[Partition]) -> Positions:
        return {partition: first for partition, first in self._rebuilds.under_way.items() if partition in partitions}

    def finish_rebuild(self, partition: Partition) -> int:
        try:
            swept = self._rebuilds.sweep(self._session.connection(), partition, self._canonical, self._history)
        except psycopg.Error as error:
            raise self._session.classified(error) from error
        with self._cursor() as cursor:
            self._rebuilds.finish(cursor, partition)
        return swept

    def tend(self) -> int:
        """Remove what is older than it is to be kept, make partitions ahead, project what nobody projected."""
        parameters = {"kept": self.settings.keep_vanished, "limit": PURGED_AT_ONCE}
        with self._cursor() as cursor:
            purged = cursor.execute(rebuilds.QUERIES["purge"], parameters).rowcount
        self._tend_history()
        if not self._are_kinds_heeded:
            with self._cursor() as cursor:
                self._canonical.heed_kinds(cursor)
            self._are_kinds_heeded = True
        until = time.monotonic() + MENDING_SECONDS
        mended = MENDED_AT_ONCE
        while mended == MENDED_AT_ONCE and time.monotonic() < until:
            with self._cursor() as cursor:
                mended = self._canonical.mend(cursor)
        return purged

    def close(self) -> None:
        self._session.close()

    def _tend_history(self) -> None:
        if time.monotonic() < self._tend_history_at:
            return
        with self._cursor() as cursor:
            self._history.make_ahead(cursor)
        with self._cursor() as cursor:
            dropped = self._history.drop_oldest(cursor)
        # One at a time: between two of them others get to the table.
        self._tend_history_at = time.monotonic() + (0 if dropped else HISTORY_SECONDS)

    @contextmanager
    def _cursor(self) -> Iterator[psycopg.Cursor]:
        """One transaction. Raises what the runner knows how to take."""
        try:
            connection = self._session.connection()
            with connection.transaction(), connection.cursor() as cursor:
                yield cursor
        except psycopg.Error as error:
            raise self._session.classified(error) from error

    def _rows(self, batch: Sequence[Delivery]) -> Rows:
        rows = Rows()
        for delivery in batch:
            if delivery.key == OUTAGES_KEY:
                rows.add_outages(delivery)
            elif delivery.topic == self.settings.topics.changelog:
                rows.add_records(delivery)
            else:
                rows.add_entity(delivery)
        return rows
