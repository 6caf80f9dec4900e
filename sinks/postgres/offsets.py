"""How far the sink has read: moved in the transaction of the rows it stands for, and only by whoever owns it."""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from schemas.errors import FencedError
from schemas.statements import statements
from schemas.topics import TOMBSTONE_MS
from sinks.base import Partition, Positions

_QUERIES: Final = statements(Path(__file__).with_name("offsets.sql"))
KEPT: Final = timedelta(milliseconds=TOMBSTONE_MS)
"""How long Kafka keeps the ends of entities: whoever was idle for longer has missed some."""


class Offsets:
    """The rows of `sink_offsets` that belong to the partitions of one process."""

    def __init__(self, sink: str) -> None:
        self._sink = sink
        self._known: dict[Partition, int | None] = {}
        self._attempted: dict[Partition, set[int]] = {}

    def read(self, cursor: psycopg.Cursor, partitions: Collection[Partition]) -> tuple[Positions, set[Partition]]:
        """Return the stored offsets, and those partitions that were idle for too long. Begins ownership of all."""
        cursor.execute(_QUERIES["read_positions"], {"sink": self._sink, "kept": KEPT})
        rows = {(topic, partition): (offset, idle) for topic, partition, offset, idle in cursor}
        stored = {at: offset for at, (offset, _) in rows.items() if at in partitions}
        self._known = {partition: stored.get(partition) for partition in partitions}
        self._attempted = {}
        return stored, {at for at in stored if rows[at][1]}

    def is_known(self, partition: Partition) -> bool:
        return self._known.get(partition) is not None

    def move(self, cursor: psycopg.Cursor, positions: Positions, *, is_rewind: bool = False) -> None:
        """Move the offsets, unless they are not where this process left them."""
        for begins, name in ((True, "begin_position"), (False, "move_position")):
            moves = [
                self._row(partition, offset, is_rewind=is_rewind)
                for partition, offset in sorted(positions.items())
                if (self._known.get(partition) is None) is begins
            ]
            if not moves:
                continue
            cursor.executemany(_QUERIES[name], moves)
            if cursor.rowcount != len(moves):
                raise FencedError(
                    f"the offsets of the sink {self._sink} are not where this process left them: another process took"
                    f" its partitions over, they were reset, or it could not write for {KEPT.days} days and has"
                    " missed deletes; started again it goes on rightly"
                )

    def attempt(self, positions: Positions) -> None:
        """A commit whose answer is lost may have happened: the repeated batch then finds its own offsets."""
        for partition, offset in positions.items():
            self._attempted.setdefault(partition, set()).add(offset)

    def settle(self, positions: Positions) -> None:
        """The commit was answered."""
        self._known |= positions
        for partition in positions:
            self._attempted.pop(partition, None)

    def _row(self, partition: Partition, offset: int, *, is_rewind: bool) -> dict[str, Any]:
        topic, number = partition
        known = self._known.get(partition)
        expected = self._attempted.get(partition, set()) | ({known} if known is not None else set())
        return {
            "sink": self._sink,
            "topic": topic,
            "partition": number,
            "next_offset": offset,
            "expected": sorted(expected),
            "kept": KEPT,
            "is_rewind": is_rewind,
        }
