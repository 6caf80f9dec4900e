"""Who owns what, in a SQLite file: each version once, with the offsets in the same transaction."""

import sqlite3
from collections.abc import Collection, Sequence

from schemas.entities import Vanished
from schemas.errors import ConfigError, Retriable
from sinks.base import Delivery, Partition, Positions, Sink, SinkSettings
from sinks.entities import read_entity

TABLES = """
CREATE TABLE IF NOT EXISTS owners (entity_ref TEXT PRIMARY KEY, owner TEXT, gone INTEGER, version INTEGER);
CREATE TABLE IF NOT EXISTS offsets (topic TEXT, partition INTEGER, next INTEGER, PRIMARY KEY (topic, partition));
"""
KEEP = """
INSERT INTO owners AS held VALUES (:entity_ref, :owner, :gone, :version)
ON CONFLICT (entity_ref) DO UPDATE SET owner = excluded.owner, gone = excluded.gone, version = excluded.version
WHERE held.version < excluded.version
"""


class OwnersSink(Sink):
    """Writes the table `owners` of the SQLite file that the option `path` names."""

    def __init__(self, settings: SinkSettings) -> None:
        super().__init__(settings)
        path = settings.options.get("path")
        if not isinstance(path, str):
            raise ConfigError("sinks.theirs.path must name a file")
        self._connection = sqlite3.connect(path, timeout=1)
        self._connection.executescript(TABLES)

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        rows = [_row(delivery) for delivery in batch]
        offsets = [(topic, partition, offset) for (topic, partition), offset in positions.items()]
        try:
            with self._connection:
                self._connection.executemany(KEEP, rows)
                self._connection.executemany("INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)", offsets)
        except sqlite3.OperationalError as error:
            raise Retriable(f"the file of owners: {error}") from error

    def stored_positions(self, partitions: Collection[Partition]) -> Positions:
        found = self._connection.execute("SELECT topic, partition, next FROM offsets")
        return {(topic, number): offset for topic, number, offset in found if (topic, number) in partitions}

    def close(self) -> None:
        self._connection.close()


def _row(delivery: Delivery) -> dict[str, object]:
    told = read_entity(delivery)
    is_gone = isinstance(told, Vanished)
    owner = None if is_gone else told.entity.get("spec", {}).get("owner")
    return {"entity_ref": told.entity_ref, "owner": owner, "gone": is_gone, "version": told.version}
