"""What a connector has published and not deleted, entity by entity: so that what has not changed is not published
again, and what is no longer there is noticed. Rows of another Kafka cluster count for nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from psycopg.rows import dict_row, tuple_row

from schemas.statements import statements
from sources.leases import Connection

_NAMED: Final = statements(Path(__file__).with_name("ledger.sql"))
_ABSENT: Final = ("count_absent", "hold_absent", "take_absent")
_QUERIES: Final = {**_NAMED, **{name: _NAMED["absent"] + "\n" + _NAMED[name] for name in _ABSENT}}
_CHUNK: Final = 2_048
_SLOT: Final = 6


class Known(NamedTuple):
    """What the ledger knows about one entity: the change that was published last."""

    entity_ref: str
    content_hash: str
    generation: int | None
    source_version: int | None
    observed_at: int
    """Epoch ms."""
    scope: str
    slot: int
    is_marked: bool
    """It is held, kept or withdrawn: to see it ends that."""
    is_seen: bool
    """By the run that asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a page says of entities, each at its place in all three lists. With an empty hash it asks what is known."""

    refs: Sequence[str]
    hashes: Sequence[str]
    scopes: Sequence[str]
    lives_from: int
    """Epoch ms: what was observed before is to be published again."""


class Compared(NamedTuple):
    """What of a page is the same as it was, and what the ledger knows of all else: None where that is nothing."""

    other: dict[str, Known | None]
    same: dict[int, int]
    """As the bits of `ingestion_seen`, chunk by chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was published of one entity and acknowledged by Kafka."""

    entity_ref: str
    scope: str
    content_hash: str
    generation: int | None
    source_version: int | None
    observed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """An entity that is to be deleted, with what its deletion must outrank."""

    entity_ref: str
    generation: int | None
    source_version: int | None
    observed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a run has read: the scopes that it read whole, less those that could not be read."""

    read: Sequence[str]
    unread: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """How many entities the connector holds, how many of them wait for a decision, and how many it held elsewhere."""

    entities: int
    held: int
    elsewhere: int


class Ledger:
    """The ledger of one connector on one cluster. Each method runs within the transaction of its connection."""

    def __init__(self, connector: str, cluster: str) -> None:
        self._whose: Mapping[str, Any] = {"connector": connector, "cluster": cluster}

    async def compare(self, connection: Connection, run: int, said: Said) -> Compared:
        """Return what is not as it is *said* to be: known with another hash or scope, seen by *run*, held, kept or
        withdrawn, due to be published again, or not known at all. And what is.
        """
        parameters = {"refs": _listed(said.refs), "hashes": _listed(said.hashes), "scopes": _listed(said.scopes)}
        compared = Compared({}, {})
        async with connection.cursor(row_factory=tuple_row) as cursor:
            # Planned anew each time: a plan that was made while the ledger was small reads all of it.
            asked = {**self._whose, **parameters, "run": run, "lives_from": said.lives_from}
            await cursor.execute(_QUERIES["compare"], asked, prepare=False)
            for row in await cursor.fetchall():
                if row[0] is None:
                    compared.same[row[_SLOT]] = int(row[1], 2)
                else:
                    compared.other[row[0]] = None if row[1] is None else Known(*row)
        return compared

    async def see(self, connection: Connection, run: int, seen: Mapping[str, str], compared: Compared) -> None:
        """Note that *run* saw what is the same as before, and these entities (reference → scope), as far as they were
        known before. A deletion that was held of one is off the table.
        """
        before = [known for ref in seen if (known := compared.other.get(ref)) is not None]
        altered = [each.entity_ref for each in before if each.is_marked or each.scope != seen[each.entity_ref]]
        if altered:
            await self._do(connection, "see", refs=altered, scopes=[seen[ref] for ref in altered])
        chunks = dict(compared.same)
        for each in before:
            chunk, place = divmod(each.slot, _CHUNK)
            chunks[chunk] = chunks.get(chunk, 0) | 1 << (_CHUNK - 1 - place)
        if chunks:
            bits = [f"{each:0{_CHUNK}b}" for each in chunks.values()]
            await self._do(connection, "mark", run=run, chunks=list(chunks), bits=bits)

    async def forget_seen(self, connection: Connection, *, but: int) -> None:
        """Forget what runs have seen that are no longer under way: all of the connector but that of run *but*."""
        await self._do(connection, "forget_seen", run=but)

    async def intend(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Note that these are about to be published. Each entity once."""
        if entries:
            await self._do(connection, "intend", **_columns(entries))

    async def write(self, connection: Connection, run: int, entries: Sequence[Entry]) -> None:
        """Note what *run* published. Each entity once."""
        if entries:
            hashes = [each.content_hash for each in entries]
            await self._do(connection, "write", run=run, hashes=hashes, **_columns(entries))

    async def withdraw(self, connection: Connection, run: int, refs: Collection[str]) -> None:
        """Note that the source itself says that these are gone."""
        if refs:
            await self._do(connection, "withdraw", run=run, refs=list(refs))

    async def census(self, connection: Connection) -> Census:
        (row,) = await self._rows(connection, "census")
        return Census(**row)

    async def count_absent(self, connection: Connection, run: int, reach: Reach) -> int:
        """Return how many entities the run should have seen and did not, less those held or kept already."""
        await self._do(connection, "join_once")
        (row,) = await self._rows(connection, "count_absent", run=run, read=reach.read, unread=reach.unread)
        return int(row["count"])

    async def hold_absent(self, connection: Connection, run: int, reach: Reach, hold: str) -> None:
        await self._do(connection, "join_once")
        await self._do(connection, "hold_absent", run=run, read=reach.read, unread=reach.unread, hold=hold)

    async def take_absent(self, connection: Connection, run: int, reach: Reach, limit: int) -> list[Gone]:
        """Return up to *limit* entities to delete now. They stay in the ledger until :meth:`forget`."""
        await self._do(connection, "join_once")
        rows = await self._rows(connection, "take_absent", run=run, read=reach.read, unread=reach.unread, limit=limit)
        return [Gone(**row) for row in rows]

    async def take_held(self, connection: Connection, hold: str, limit: int) -> list[Gone]:
        """As :meth:`take_absent`, of a hold that was approved."""
        return [Gone(**row) for row in await self._rows(connection, "take_held", hold=hold, limit=limit)]

    async def forget(self, connection: Connection, refs: Iterable[str]) -> None:
        """Their deletion was published and acknowledged."""
        await self._do(connection, "forget", refs=list(refs))

    async def forget_other_clusters(self, connection: Connection) -> None:
        await self._do(connection, "forget_other_clusters")

    async def _do(self, connection: Connection, query: str, **parameters: Any) -> None:
        await connection.execute(_QUERIES[query], {**self._whose, **parameters})

    async def _rows(self, connection: Connection, query: str, **parameters: Any) -> list[dict[str, Any]]:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_QUERIES[query], {**self._whose, **parameters})
            return await cursor.fetchall()


def _listed(texts: Sequence[str]) -> str:
    """As JSON: an array of Postgres's own takes ten times as long to make."""
    return orjson.dumps(texts).decode()


def _columns(entries: Sequence[Entry]) -> dict[str, Any]:
    return {
        "refs": [each.entity_ref for each in entries],
        "scopes": [each.scope for each in entries],
        "generations": [each.generation for each in entries],
        "versions": [each.source_version for each in entries],
        "observed": [each.observed_at for each in entries],
    }
