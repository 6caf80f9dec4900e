"""What the ledger answers to a page: what is as it was needs no row, all else comes with all that is known of it."""

import asyncio
import uuid

import psycopg
import pytest
from psycopg import conninfo, sql

from sources.ledger import Entry, Ledger, Reach, Said
from sources.sifting import asking

CLUSTER, BEFORE, RUN = "cluster", 1, 2
NAMES = ("pay", "ship", "till")


@pytest.fixture(scope="module")
def dsn(postgres, migrated):
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(migrated))
        admin.execute(made)
    yield conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _entry(ref):
    return Entry(
        entity_ref=ref, scope="acme", content_hash=f"#{ref}", generation=None, source_version=7, observed_at=1_000
    )


def _said(refs=NAMES, *, lives_from=0, **other):
    """*other*: name → hash, where it is another one."""
    hashes = [other.get(ref, f"#{ref}") for ref in refs]
    return Said(refs=refs, hashes=hashes, scopes=["acme"] * len(refs), lives_from=lives_from)


def _after(dsn, *acts):
    """Return what the last of *acts* does with a ledger that holds NAMES, and its connection. Nothing stays."""

    async def acting():
        ledger = Ledger("acme", CLUSTER)
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await ledger.write(connection, BEFORE, [_entry(each) for each in NAMES])
            for act in acts:
                found = await act(ledger, connection)
            await connection.rollback()
            return found

    return asyncio.run(acting())


def _alters(statement):
    """As another process leaves the row."""
    return lambda _, connection: connection.execute(
        f"UPDATE ingestion_entity_refs SET {statement} WHERE entity_ref = 'pay'"
    )


def _compares(said):
    return lambda ledger, connection: ledger.compare(connection, RUN, said)


async def _sees(ledger, connection):
    await ledger.see(connection, RUN, {}, await ledger.compare(connection, RUN, _said(["pay"])))


def test_what_is_as_it_was_comes_without_a_row(dsn):
    compared = _after(dsn, _compares(_said()))
    assert (compared.other, sum(each.bit_count() for each in compared.same.values())) == ({}, 3)


def test_what_is_as_it_was_counts_as_seen(dsn):
    async def absent(ledger, connection):
        return [each.entity_ref for each in await ledger.take_absent(connection, RUN, Reach(read=[""], unread=[]), 9)]

    assert sorted(_after(dsn, _sees, absent)) == ["ship", "till"]


def test_what_a_run_has_seen_is_not_read_again_for_every_entity_that_is_looked_for(dsn):
    refs = [f"s-{number}" for number in range(4_000)]

    async def holds_many(ledger, connection):
        await ledger.write(connection, BEFORE, [_entry(ref) for ref in refs])
        await ledger.see(connection, RUN, {}, await ledger.compare(connection, RUN, _said(refs)))

    async def read(connection):
        told = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'ingestion_seen'"
        return (await (await connection.execute(told)).fetchone())[0]

    async def counted(ledger, connection):
        before = await read(connection)
        count = await ledger.count_absent(connection, RUN, Reach(read=[""], unread=[]))
        return count, await read(connection) - before

    count, chunks = _after(dsn, holds_many, counted)
    assert (count, 0 < chunks < 10) == (3, True)


@pytest.mark.parametrize(
    "alters",
    [
        _alters("content_hash = '#other'"),
        _alters("content_hash = ''"),
        _alters("scope = 'acme/pay'"),
        _alters("withdrawn = true"),
        _alters("kept = true"),
        _alters("hold_id = gen_random_uuid()"),
        _alters("observed_at = 499"),
        _alters(f"seen_run = {RUN}"),
        _sees,
    ],
    ids=["changed", "intended", "moved", "withdrawn", "kept", "held", "old", "written", "seen"],
)
def test_what_is_not_as_it_was_comes_with_all_that_is_known_of_it(dsn, alters):
    compared = _after(dsn, alters, _compares(_said(lives_from=500)))
    assert [(ref, known.source_version) for ref, known in compared.other.items()] == [("pay", 7)]


@pytest.mark.parametrize("alters", [_alters("cluster_id = 'another'"), _alters("entity_ref = 'paid'")])
def test_what_is_not_known_comes_as_that(dsn, alters):
    assert _after(dsn, alters, _compares(_said())).other == {"pay": None}


def test_without_a_hash_nothing_is_as_it_was(dsn):
    compared = _after(dsn, _alters("content_hash = ''"), _compares(asking(NAMES)))
    assert ({*compared.other}, compared.same) == ({*NAMES}, {})
