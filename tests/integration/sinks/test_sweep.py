"""What the Postgres sink sweeps and purges, between two calls of the runner: a real Postgres, no Kafka read."""

from datetime import timedelta

import psycopg
import pytest

from schemas.codec import encode_entity
from schemas.errors import FencedError, Skippable
from schemas.partitions import partition_of
from sinks.base import Delivery
from sinks.postgres.sink import PostgresSink

EVERYWHERE = [f"component:default/n{number}" for number in range(40)]
REFS = [each for each in EVERYWHERE if partition_of(each.encode(), 2) == 0]


def rows(dsn, query, *values):
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def names(dsn):
    return {found for (found,) in rows(dsn, "SELECT entity_ref FROM entities WHERE deleted_at IS NULL")}


class Part:
    """Partition 0 of the entities, and sinks that own it one after the other."""

    def __init__(self, stage, dsn, entity):
        self.at = (stage.topics.entities, 0)
        self.there = self.batch([entity(each, 5) for each in REFS])
        self._settings = stage.settings("postgres", dsn)
        self._opened = []

    def batch(self, found):
        return [
            Delivery(
                topic=self.at[0],
                partition=0,
                offset=number,
                key=each.entity_ref.encode(),
                value=encode_entity(each),
                headers=[],
                timestamp=0,
            )
            for number, each in enumerate(found)
        ]

    def open(self):
        """Return a sink that was given the partition, and where it reads on."""
        sink = PostgresSink(self._settings)
        self._opened.append(sink)
        stored = sink.stored_positions([self.at])
        if self.at not in stored:
            sink.rewind({self.at: 0})
        return sink, stored.get(self.at)

    def written(self, found=None):
        """Write all that is there, ask for a rebuild, and return the sink that begins it."""
        sink, _ = self.open()
        found = self.there if found is None else found
        sink.write(found, {self.at: len(found)})
        sink.request_rebuild([self.at])
        return self.open()[0]

    def close(self):
        for sink in self._opened:
            sink.close()


@pytest.fixture
def part(stage, dsn, entity):
    found = Part(stage, dsn, entity)
    yield found
    found.close()


def test_a_rebuild_that_was_broken_off_goes_on_and_sweeps_nothing_before_its_end(dsn, part):
    begun = part.written()
    assert begun.rebuilding([part.at]) == {part.at: 0}
    begun.write(part.there[:3], {part.at: 3})
    taken_up, stored = part.open()
    assert (stored, taken_up.rebuilding([part.at]), names(dsn)) == (3, {part.at: 0}, set(REFS))
    taken_up.write(part.there[3:-1], {part.at: len(REFS)})
    assert taken_up.finish_rebuild(part.at) == 1
    assert names(dsn) == set(REFS[:-1])
    assert rows(dsn, "SELECT (SELECT count(*) FROM sink_rebuilds), (SELECT count(*) FROM sink_seen)") == [(0, 0)]


def test_what_is_swept_is_no_service_any_more_and_what_was_lost_is_one_again(dsn, part):
    sink = part.written(part.there[:3])
    rows(dsn, "DELETE FROM services WHERE external_id = %s", REFS[0])
    sink.write(part.there[:2], {part.at: len(REFS)})
    assert sink.finish_rebuild(part.at) == 1
    assert {found for (found,) in rows(dsn, "SELECT external_id FROM services")} == set(REFS[:2])


def test_rows_of_other_partitions_are_not_swept(dsn, part, entity):
    sink = part.written(part.batch([entity(each, 5) for each in EVERYWHERE]))
    assert sink.finish_rebuild(part.at) == len(REFS)
    assert names(dsn) == set(EVERYWHERE) - set(REFS)


def test_the_row_of_a_record_that_cannot_be_written_is_not_swept(dsn, part, entity):
    sink = part.written()
    poison = part.batch([entity(REFS[0], 6, service={"text": "\0"})])
    with pytest.raises(Skippable):
        sink.write([*poison, *part.there[1:]], {part.at: len(REFS)})
    sink.write(part.there[1:], {part.at: len(REFS)})
    assert sink.finish_rebuild(part.at) == 0
    assert names(dsn) == set(REFS)


def test_whoever_lost_a_rebuild_to_a_later_one_sweeps_nothing(dsn, part):
    zombie = part.written()
    zombie.write(part.there, {part.at: len(REFS)})
    zombie.request_rebuild([part.at])
    part.open()
    with pytest.raises(FencedError):
        zombie.finish_rebuild(part.at)
    assert names(dsn) == set(REFS)


def test_a_swept_entity_comes_back_with_its_next_version_or_when_it_is_seen_after_all(dsn, part, entity):
    sink = part.written(part.there[:2])
    assert (sink.finish_rebuild(part.at), names(dsn)) == (2, set())
    sink.write([part.there[0], *part.batch([entity(REFS[1], 6)])], {part.at: 4})
    assert names(dsn) == set(REFS[:2])


def test_rows_of_the_long_vanished_are_purged_and_of_no_one_else(dsn, part):
    sink, _ = part.open()
    sink.write(part.there[:3], {part.at: 3})
    rows(dsn, "UPDATE entities SET deleted_at = now() - interval '31 days' WHERE entity_ref = %s", REFS[2])
    rows(dsn, "UPDATE entities SET deleted_at = now() - interval '29 days' WHERE entity_ref = %s", REFS[1])
    assert [sink.tend(), sink.tend()] == [1, 0]
    assert {found for (found,) in rows(dsn, "SELECT entity_ref FROM entities")} == set(REFS[:2])


def test_a_row_that_is_coming_back_is_not_purged(dsn, part):
    sink, _ = part.open()
    sink.write(part.there[:1], {part.at: 1})
    rows(dsn, "UPDATE entities SET deleted_at = now() - interval '31 days'")
    with psycopg.connect(dsn) as other:
        other.execute("UPDATE entities SET deleted_at = NULL, version = 6")
        assert sink.tend() == 0
    assert names(dsn) == {REFS[0]}


def test_an_older_writer_goes_on_with_the_newer_schema(dsn):
    rows(dsn, "INSERT INTO sink_offsets (sink, topic, partition, next_offset) VALUES ('postgres', 't', 0, 1)")
    rows(dsn, "UPDATE sink_offsets SET next_offset = 2")
    assert rows(dsn, "SELECT next_offset, now() - active_at < %s FROM sink_offsets", timedelta(minutes=1)) == [
        (2, True)
    ]
