"""What somebody decided about dead letters, kept in Postgres: the one thing about them that Kafka does not hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import psycopg

from mainstem.dead_letters.letters import DeadLetter, LetterId
from schemas.database import sentences
from schemas.statements import statements

Verdict = Literal["replayed", "discarded"]

_QUERIES: Final = statements(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of a dead letter."""

    verdict: Verdict
    by: str
    at: datetime


class Decisions:
    """The decisions about one topic of one Kafka cluster."""

    def __init__(self, dsn: str, *, cluster_id: str, topic: str) -> None:
        self._dsn = dsn
        self._about = {"cluster": cluster_id, "topic": topic}
        with sentences(dsn):
            self._connection = psycopg.connect(dsn, connect_timeout=10, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def of(self, letters: Sequence[DeadLetter]) -> dict[LetterId, Decision]:
        """Return what was decided about those of *letters* that somebody decided about."""
        rows = self._execute("decisions", letters).fetchall()
        return {
            LetterId(partition, offset): Decision(verdict=verdict, by=by, at=at)
            for partition, offset, verdict, by, at in rows
        }

    def record(self, letters: Sequence[DeadLetter], verdict: Verdict, *, by: str) -> None:
        """Keep the decision; a later one takes the place of an earlier."""
        self._execute("decide", letters, decision=verdict, by=by)

    def _execute(self, query: str, letters: Sequence[DeadLetter], **parameters: Any) -> psycopg.Cursor[Any]:
        places = {
            "partitions": [each.id.partition for each in letters],
            "offsets": [each.id.offset for each in letters],
            "times": [each.at for each in letters],
        }
        with sentences(self._dsn):
            return self._connection.execute(_QUERIES[query], {**self._about, **places, **parameters})
