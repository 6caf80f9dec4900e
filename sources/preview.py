"""What a run would publish and delete, if it came now. Nothing is written anywhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from psycopg.rows import dict_row

from schemas.statements import statements
from sources.base import Page
from sources.connector import Connector
from sources.effect import doubts
from sources.guard import allows
from sources.leases import Connection, Pool, autocommitting
from sources.ledger import Known, Ledger
from sources.pages import PageReader, Treadmill
from sources.sifting import LeftOut, Moment, Sifted, asking, sift, sighted

_QUERIES: Final = statements(Path(__file__).with_name("ledger.sql"))
_NO_RUN: Final = -1


@dataclass(slots=True)
class Preview:
    """References, each list in the source's order. *problem*: why the run would fail, or be partial, and delete nothing
    of what it could not read; None where nothing stands in its way.
    """

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """(place, reason)."""
    deleted: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    """What the guard would hold, or holds already."""
    unchanged: int = 0
    filtered: int = 0
    problem: str | None = None
    doubts: list[str] = field(default_factory=list)
    """What of the settings was without effect."""


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    seen: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    total: int | None = None
    read: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)
    silent: set[str] = field(default_factory=set)


async def preview(
    connector: Connector, pool: Pool, cluster: str, *, told: Callable[[int], None] = lambda _: None
) -> Preview:
    """Read the whole source and compare with the ledger. *told* is called with how many entities were read so far.

    Raises what the source raises: a run would have failed there, and deleted nothing.
    """
    ledger, result, reading = Ledger(connector.id, cluster), Preview(), _Reading(silent=set(connector.sieve.adding))
    pages = connector.source.pages(None)
    reader, treadmill = PageReader(pages, lambda page: sighted(page, connector.sieve)), Treadmill(None)
    try:
        while (sight := await reader.next()) is not None:
            page, found, sifted = sight
            async with pool.connection() as connection, autocommitting(connection):
                refs = {each.entity_ref for each in found}
                compared = await ledger.compare(connection, _NO_RUN, asking(list(refs)))
            known = {ref: each for ref, each in compared.other.items() if each is not None}
            again = {
                ref: known[ref]._replace(is_seen=True) if ref in known else _seen(ref) for ref in reading.seen & refs
            }
            moment = Moment(now_ms=int(time.time() * 1000), left_out=reading.left_out, silent=reading.silent)
            sift(found, {**known, **again}, connector.sieve, moment, sifted)
            for each in found if reading.silent else ():
                if each.entity_ref in sifted.seen:
                    connector.sieve.hear(each, reading.silent)
            _add(page, sifted, known, result, reading)
            treadmill.look(page, fresh=sifted.fresh, again=sifted.again)
            told(len(reading.seen))
    finally:
        await reader.close()
    async with pool.connection() as connection:
        rows = await _held_rows(connector, connection, cluster)
    _judge(connector, rows, result, reading)
    mapped = len(result.new) + len(result.changed) + result.unchanged
    result.doubts += doubts(
        connector.sieve.adding,
        reading.silent,
        mapped=mapped,
        left_out=result.filtered,
        refused=len(result.refused),
    )
    return result


def _seen(ref: str) -> Known:
    return Known(
        entity_ref=ref,
        content_hash="",
        generation=None,
        source_version=None,
        observed_at=0,
        scope="",
        slot=0,
        is_marked=False,
        is_seen=True,
    )


def _add(page: Page, sifted: Sifted, known: dict[str, Known], result: Preview, reading: _Reading) -> None:
    refs = [each.entry.entity_ref for each in sifted.prepared]
    result.new += (ref for ref in refs if ref not in known)
    result.changed += (ref for ref in refs if ref in known)
    result.refused += sifted.refusals
    result.unchanged += sifted.unchanged
    result.filtered += sifted.filtered
    reading.seen |= {*refs, *sifted.seen, *sifted.spared}
    reading.unread |= {*sifted.guarded, *page.unread}
    reading.problems += (f"{scope or 'all'}: {reason}" for scope, reason in page.unread.items())
    reading.total = reading.total if page.total is None else page.total
    result.doubts += page.doubts
    reading.read += sifted.fresh + sifted.filtered + len(sifted.refusals) + page.left_out


def _judge(connector: Connector, rows: list[dict[str, Any]], result: Preview, reading: _Reading) -> None:
    if rows and not reading.read and not reading.unread:
        result.problem = "the source gave nothing at all: a run would fail"
        return
    if reading.total is not None and reading.read < reading.total:
        result.problem = f"the source says that it holds {reading.total:,} entities, and gave {reading.read:,}"
        return
    if reading.problems:
        result.problem = f"not everything could be read: {'; '.join(reading.problems[:3])}"
    result.held = [row["entity_ref"] for row in rows if row["hold_id"] and row["entity_ref"] not in reading.seen]
    absent = [
        row["entity_ref"]
        for row in rows
        if row["entity_ref"] not in reading.seen and not (row["kept"] or row["hold_id"])
        if not any(_lies_in(row["scope"], scope) for scope in reading.unread)
    ]
    if allows(len(absent), held=len(result.held) if absent else 0, entities=len(rows), limits=connector.limits):
        result.deleted = absent
    else:
        result.held = sorted(result.held + absent)


async def _held_rows(connector: Connector, connection: Connection, cluster: str) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_QUERIES["all"], {"connector": connector.id, "cluster": cluster})
        return await cursor.fetchall()


def _lies_in(scope: str, unread: str) -> bool:
    return not unread or scope == unread or scope.startswith(f"{unread}/")
