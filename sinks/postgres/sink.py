"""Merged entities and held records as rows, each version once, with the offsets in the same transaction."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
import structlog
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from schemas.database import refusal, where
from schemas.errors import ConfigError, FencedError, MainstemError, Retriable, Skippable, UnavailableError
from schemas.statements import statements
from sinks.base import Delivery, Partition, Positions, Sink, SinkSettings
from sinks.postgres.rows import Row, Rows

log = structlog.get_logger(__name__)

_QUERIES: Final = statements(Path(__file__).with_name("queries.sql"))
_CONNECTION: Final[dict[str, Any]] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "application_name": "mainstem-sink-postgres",
}
# For databases whose DSN sets no options of its own: no batch may outlast the time in which a consumer must poll.
_SESSION: Final = (
    "SET statement_timeout = '60s'; SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'"
)


class PostgresSink(Sink):
    """Writes the tables `entities`, `entity_records` and `sink_offsets`."""

    def __init__(self, settings: SinkSettings) -> None:
        super().__init__(settings)
        if not settings.dsn:
            raise ConfigError("the sink postgres needs a database; set postgres.dsn")
        self._connection: psycopg.Connection | None = None
        self._known: dict[Partition, int | None] = {}
        self._attempted: dict[Partition, set[int]] = {}

    @property
    def topics(self) -> Sequence[str]:
        return (self.settings.topics.entities, self.settings.topics.changelog)

    def stored_positions(self, partitions: Collection[Partition]) -> Positions:
        try:
            cursor = self._connected().execute(_QUERIES["read_positions"], {"sink": self.settings.name})
            stored = {(topic, partition): offset for topic, partition, offset in cursor}
        except psycopg.Error as error:
            raise self._classified(error) from error
        self._known = {partition: stored.get(partition) for partition in partitions}
        self._attempted = {}
        return {partition: offset for partition, offset in stored.items() if partition in self._known}

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        rows = self._rows(batch)
        try:
            connection = self._connected()
            with connection.transaction(), connection.cursor() as cursor:
                self._move(cursor, positions)
                for name, values in rows.statements():
                    if values:
                        cursor.executemany(_QUERIES[name], values)
                # A commit whose answer is lost may have happened: the repeated batch then finds its own offsets.
                for partition, offset in positions.items():
                    self._attempted.setdefault(partition, set()).add(offset)
        except psycopg.Error as error:
            raise self._classified(error) from error
        self._known |= positions
        for partition in positions:
            self._attempted.pop(partition, None)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rows(self, batch: Sequence[Delivery]) -> Rows:
        rows = Rows()
        for delivery in batch:
            if delivery.topic == self.settings.topics.changelog:
                rows.add_records(delivery)
            else:
                rows.add_entity(delivery)
        return rows

    def _move(self, cursor: psycopg.Cursor, positions: Positions) -> None:
        """Move the offsets, unless they are not where this process left them."""
        for begins, name in ((True, "begin_position"), (False, "move_position")):
            moves = [
                self._move_row(partition, offset)
                for partition, offset in sorted(positions.items())
                if (self._known.get(partition) is None) is begins
            ]
            if not moves:
                continue
            cursor.executemany(_QUERIES[name], moves)
            if cursor.rowcount != len(moves):
                raise FencedError(
                    f"the offsets of the sink {self.settings.name} are not where this process left them:"
                    " another process took its partitions over, or they were reset"
                )

    def _move_row(self, partition: Partition, offset: int) -> Row:
        topic, number = partition
        known = self._known.get(partition)
        expected = self._attempted.get(partition, set()) | ({known} if known is not None else set())
        return {
            "sink": self.settings.name,
            "topic": topic,
            "partition": number,
            "next_offset": offset,
            "expected": sorted(expected),
        }

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.settings.dsn, autocommit=True, **_CONNECTION)
            if "options" not in conninfo_to_dict(self.settings.dsn):
                self._connection.execute(_SESSION)
            log.info("sink.connected", sink=self.settings.name, database=where(self.settings.dsn))
        return self._connection

    def _classified(self, error: psycopg.Error) -> MainstemError | psycopg.Error:
        """Return what to raise. No message holds what Postgres says about a value: it may quote the payload."""
        named = f"{type(error).__name__} ({error.sqlstate or 'no code'})"
        if refused := refusal(error, self.settings.dsn):
            return refused
        if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.InsufficientPrivilege):
            return UnavailableError(f"{where(self.settings.dsn)}: {named}; run `mainstem db migrate`")
        if isinstance(error, psycopg.DataError | psycopg.IntegrityError) or _is_too_large(error):
            return Skippable(f"Postgres cannot hold it: {named}")
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | errors.ReadOnlySqlTransaction):
            # Never used again: it may hang half-way in a pipeline without being closed, or lead to a standby.
            self.close()
            return Retriable(f"{where(self.settings.dsn)}: {named}")
        return error


def _is_too_large(error: psycopg.Error) -> bool:
    """Class 54: a text, a row or a nesting beyond Postgres' limits; it never passes."""
    return (error.sqlstate or "").startswith("54")
