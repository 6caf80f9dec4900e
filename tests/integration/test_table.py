"""The processor's table on a real RocksDB: what recovery believes, and what is seen of what is on its way."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import SimpleNamespace

from aiokafka.structs import ConsumerRecord
from faust.types.tuples import TP
from prometheus_client import CollectorRegistry

from schemas.codec import encode_records, records_version
from schemas.metrics import ProcessorMetrics
from schemas.records import NEVER, Records
from schemas.topics import Topics
from streams.policy import Policy
from streams.table import RunTable, StateWrite
from streams.worker import Worker, WorkerSettings

TOPICS = Topics(partitions=1)
KEY = b"component:default/pay"


def state(version):
    return encode_records(Records(version=version))


def changelog(version, *, deadline=None, is_forgotten=False):
    """Return a record of the changelog as a worker writes it."""
    headers = [("version", b"%d" % version)] if is_forgotten else [("deadline", b"%d" % deadline if deadline else b"")]
    return ConsumerRecord(
        topic=TOPICS.changelog, partition=0, offset=0, timestamp=0, timestamp_type=0, key=KEY,
        value=None if is_forgotten else state(version), checksum=None, serialized_key_size=0, serialized_value_size=0,
        headers=headers,
    )  # fmt: skip


@contextmanager
def table_in(data_dir) -> Iterator[RunTable]:
    settings = WorkerSettings(
        bootstrap_servers="nowhere:1", topics=TOPICS, sources=frozenset({TOPICS.changes("git")}), policy=Policy(),
        data_dir=data_dir,
    )  # fmt: skip

    async def make():
        (table,) = Worker(settings, metrics=ProcessorMetrics(CollectorRegistry())).engine.run_tables.values()
        return table

    yield asyncio.run(make())


def version_of(table):
    (stored,) = table.stored(0, [KEY])
    return None if stored is None else records_version(stored.value)


def test_a_zombies_record_in_a_later_fetch_does_not_win(tmp_path):
    with table_in(tmp_path) as table:
        table.recover(0, [changelog(2)])
        table.recover(0, [changelog(1)])
        assert version_of(table) == 2


def test_a_zombies_record_in_the_same_fetch_does_not_win(tmp_path):
    with table_in(tmp_path) as table:
        table.recover(0, [changelog(2), changelog(1)])
        assert version_of(table) == 2


def test_a_key_that_was_forgotten_is_not_brought_back_by_a_zombie(tmp_path):
    with table_in(tmp_path) as table:
        table.recover(0, [changelog(1), changelog(3, is_forgotten=True)])
        table.recover(0, [changelog(2)])
        assert version_of(table) is None


def test_a_key_that_a_zombie_forgot_is_kept(tmp_path):
    with table_in(tmp_path) as table:
        table.recover(0, [changelog(2)])
        table.recover(0, [changelog(1, is_forgotten=True)])
        assert version_of(table) == 2


def test_recovery_leaves_one_deadline_of_a_key(tmp_path):
    with table_in(tmp_path) as table:
        table.recover(0, [changelog(1, deadline=100)])
        table.recover(0, [changelog(2, deadline=200)])
        assert (table.due(0, 150, 9), table.due(0, 250, 9)) == ([], [KEY])


def test_what_faust_hands_over_again_is_not_written(tmp_path):
    """Its buffer is older than what was written as it was fetched, and than what runs have written since."""
    old = SimpleNamespace(message=SimpleNamespace(**asdict(changelog(1)), tp=TP(TOPICS.changelog, 0)))
    with table_in(tmp_path) as table:
        table.recover(0, [changelog(1), changelog(2)])
        table.apply_changelog_batch([old])
        assert version_of(table) == 2


def test_what_a_later_run_holds_outlasts_the_answer_for_an_earlier_one(tmp_path):
    with table_in(tmp_path) as table:
        writes = [[StateWrite(KEY, state(version), version, NEVER, NEVER)] for version in (1, 2)]
        for run, write in enumerate(writes):
            table.hold(run, 0, write)
        table.settle(0, 0, writes[0], 7)
        assert version_of(table) == 2


def test_the_highest_version_is_known_whatever_became_of_its_key(tmp_path):
    with table_in(tmp_path) as table:
        table.recover(0, [changelog(5), changelog(9, is_forgotten=True)])
        table.settle(0, 0, [StateWrite(KEY, None, 12)], 7)
        assert table.highest_version(0) == 12
