"""What Backstage has confirmed, per entity and shard: the rows of `backstage_emissions`."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from schemas.statements import statements
from sinks.backstage.line import Item, State, Verdict
from sinks.base import Positions
from sinks.postgres.session import Session

_QUERIES: Final = statements(Path(__file__).with_name("emissions.sql"))
PURGED_AT_ONCE: Final = 1_000
REASON_LENGTH: Final = 1_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The newest of what a batch says about one entity. *faults*: why it is not even sent."""

    ref: str
    shard: int
    version: int
    content: bytes | None
    content_hash: str | None
    faults: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What Backstage has confirmed of one entity."""

    shard: int
    version: int
    content_hash: str | None
    state: State
    has_content: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a shard in Backstage looks like that is as we left it."""

    hash: str = ""
    entities: int = 0
    conflicts: int = 0


class Emissions:
    """The rows of one tenant, over one connection: one thread at a time."""

    def __init__(self, session: Session, sink: str, tenant: str) -> None:
        self._session = session
        self._sink = sink
        self._tenant = tenant

    def close(self) -> None:
        self._session.close()

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Cursor]:
        """Raises what the runner knows how to take."""
        try:
            connection = self._session.connection()
            with connection.transaction(), connection.cursor() as cursor:
                yield cursor
        except psycopg.Error as error:
            raise self._session.classified(error) from error

    @contextmanager
    def shard(self, shard: int) -> Iterator[psycopg.Cursor]:
        """One transaction in which nobody else speaks to Backstage of *shard*."""
        with self.transaction() as cursor:
            self.hold(cursor, shard)
            yield cursor

    def hold(self, cursor: psycopg.Cursor, shard: int) -> None:
        cursor.execute(_QUERIES["outlast_requests"])
        cursor.execute(_QUERIES["hold_shard"], {"tenant": self._tenant, "shard": str(shard)})

    def read(self, cursor: psycopg.Cursor, refs: Iterable[str]) -> dict[str, Held]:
        cursor.execute(_QUERIES["read"], {"tenant": self._tenant, "refs": list(refs)})
        return {
            ref: Held(shard=shard, version=version, content_hash=found, state=state, has_content=has_content)
            for ref, shard, version, found, state, has_content in cursor
        }

    def record(self, cursor: psycopg.Cursor, judged: Iterable[tuple[Change, Verdict]]) -> None:
        rows = [(verdict.state, self._row(change, verdict)) for change, verdict in judged]
        for name, is_refusal in (("record_refusal", True), ("record", False)):
            wanted = [row for state, row in rows if (state == "refused") is is_refusal]
            if wanted:
                cursor.executemany(_QUERIES[name], wanted)

    def advance(self, cursor: psycopg.Cursor, changes: Collection[Change]) -> None:
        """A new version said nothing new."""
        if changes:
            rows = [{"tenant": self._tenant, "entity_ref": each.ref, "version": each.version} for each in changes]
            cursor.executemany(_QUERIES["advance"], rows)

    def settle(self, cursor: psycopg.Cursor, verdicts: Mapping[str, Verdict]) -> None:
        """Backstage has judged the content that is held."""
        if verdicts:
            rows = [
                {"tenant": self._tenant, "entity_ref": ref, "state": each.state, "reason": _shortened(each.reason)}
                for ref, each in verdicts.items()
            ]
            cursor.executemany(_QUERIES["settle"], rows)

    def content(self, cursor: psycopg.Cursor, shard: int) -> tuple[list[Item], dict[str, State]]:
        """Return what Backstage shall hold of *shard*, and the state of each."""
        cursor.execute(_QUERIES["shard_content"], {"tenant": self._tenant, "shard": shard})
        found = cursor.fetchall()
        items = [Item(ref=ref, content=content.encode()) for ref, content, _ in found]
        return items, {ref: state for ref, _, state in found}

    def standings(self, cursor: psycopg.Cursor, shard: int | None = None) -> dict[int, Standing]:
        """Return where the shards stand that are not empty."""
        cursor.execute(_QUERIES["standings"], {"tenant": self._tenant, "shard": shard})
        return {
            number: Standing(hash=found, entities=entities, conflicts=conflicts)
            for number, found, entities, conflicts in cursor
        }

    def counts(self) -> dict[str, int]:
        with self.transaction() as cursor:
            cursor.execute(_QUERIES["count_states"], {"tenant": self._tenant})
            return dict(cursor.fetchall())

    def is_whole(self, topic: str, partitions: int) -> bool:
        """Whether every partition was read as a whole: before that the rows are no measure for anything."""
        parameters = {"sink": self._sink, "topic": topic, "partitions": partitions}
        with self.transaction() as cursor:
            return cursor.execute(_QUERIES["is_whole"], parameters).fetchone() == (True,)

    def unseen(self, cursor: psycopg.Cursor, topic: str, after: str, limit: int) -> list[tuple[str, int]]:
        """Return (reference, version) of what a rebuild did not see, behind *after*."""
        parameters = {"tenant": self._tenant, "sink": self._sink, "topic": topic, "after": after, "limit": limit}
        return cursor.execute(_QUERIES["unseen"], parameters).fetchall()

    def scopes(self, cursor: psycopg.Cursor, topic: str) -> dict[int, str]:
        return dict(cursor.execute(_QUERIES["read_scopes"], {"topic": topic}).fetchall())

    def write_scopes(self, cursor: psycopg.Cursor, starts: Positions, scope: str) -> None:
        for topic, partition in sorted(starts):
            cursor.execute(_QUERIES["write_scope"], {"topic": topic, "partition": partition, "scope": scope})

    def purge(self, kept: timedelta) -> int:
        """Forget entities that were removed long ago."""
        with self.transaction() as cursor:
            return cursor.execute(_QUERIES["purge"], {"kept": kept, "limit": PURGED_AT_ONCE}).rowcount

    def _row(self, change: Change, verdict: Verdict) -> Row:
        return {
            "tenant": self._tenant,
            "entity_ref": change.ref,
            "shard": change.shard,
            "version": change.version,
            "content": None if change.content is None else change.content.decode(),
            "content_hash": change.content_hash,
            "state": verdict.state,
            "reason": _shortened(verdict.reason),
        }


def _shortened(reason: str | None) -> str | None:
    """What Backstage says may be of any length, and hold what no database can."""
    return None if reason is None else reason.replace("\0", " ")[:REASON_LENGTH]
