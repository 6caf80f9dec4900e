"""The sink and the module together: what a real Backstage shows is what was merged. Restarts: `test_restarts.py`."""

from dataclasses import replace

import psycopg
import pytest

from schemas.entities import Vanished
from schemas.errors import Retriable
from sinks.batches import ends
from tests.backstage.stage import Patient, shows
from tests.integration.sinks.backstage_stage import rows


def gone(entity, version):
    return Vanished(tenant="default", entity_ref=entity.entity_ref, version=version, merged_at=1, reason="deleted")


def test_what_was_merged_changed_and_deleted_is_what_backstage_shows(backstage, drive, several, whole, dsn):
    one = drive()
    one.carry(*several)
    changed = whole("e1", 101, description="another", tags=["cash"])
    one.carry(changed, gone(several[1], 102))

    shows(backstage, changed, *several[2:])
    assert {state for _, state in rows(dsn).values()} == {"applied", "removed"}


@pytest.mark.parametrize("fault", ["lose_entities", "delete"])
def test_one_resync_brings_back_what_backstage_lost(fault, backstage, drive, several):
    one = drive()
    one.carry(*several)
    one.resync()
    shows(backstage, *several)
    {"lose_entities": backstage.lose_entities, "delete": lambda: backstage.delete(several[2].entity_ref)}[fault]()

    one.resync()

    shows(backstage, *several)
    assert one.dead_letters == []


def test_one_that_breaks_the_rules_is_set_aside_and_the_others_are_shown(backstage, drive, several, whole):
    one = drive()
    one.carry(*several, whole("spoilt", 103, tags=["Not A Tag"]))

    shows(backstage, *several)
    assert [letter.key for letter, _ in one.dead_letters] == [b"component:default/spoilt"]


def test_one_that_backstage_itself_refuses_is_set_aside_and_the_others_are_shown(backstage, drive, several, whole):
    robot, broken = (whole(name, 9, kind="Robot", spec=spec) for name, spec in (("r1", {"model": "m"}), ("r2", {})))
    one = drive(options={"kinds": ["component", "robot"]})
    one.carry(*several[:4], broken, robot, *several[4:])
    one.resync()

    shows(backstage, robot, *several)
    assert [letter.key for letter, _ in one.dead_letters] == [b"robot:default/r2"]


def test_an_entity_of_another_provider_is_left_alone_until_that_one_lets_go(backstage, drive, several, whole, dsn):
    ours = whole("leaving", 50, description="ours")
    one = drive()
    one.carry(*several, ours)
    one.resync()
    shows(backstage, *several)
    told, theirs = rows(dsn)[ours.entity_ref], backstage.entity(ours.entity_ref)

    backstage.delete(ours.entity_ref)
    one.resync()

    shows(backstage, *several, ours)
    assert (told, theirs["metadata"]["description"], one.dead_letters) == ((50, "conflict"), "theirs", [])


def test_a_backstage_that_stands_still_loses_nothing(backstage, drive, several, whole):
    class Hasty(Patient):
        pace = replace(Patient.pace, read_seconds=1.0)

    one = drive(kind=Hasty)
    one.carry(*several)
    changed = whole("e1", 101, description="meanwhile")
    one.publish(changed, gone(several[1], 102))
    with backstage.standing_still(), pytest.raises(Retriable, match="silent"):
        one.sink.write(one.left(), ends(one.left()))

    one.carry()
    one.resync()

    shows(backstage, changed, *several[2:])


def test_a_sink_that_ends_between_the_mutation_and_its_commit_says_it_again(backstage, drive, several, dsn):
    class Cut(Patient):
        """Loses its database once Backstage has answered, before that can be written down."""

        def __init__(self, settings):
            super().__init__(settings)
            change = self._line.change
            self._line.change = lambda *what: _cut(dsn, change(*what))

    one = drive(kind=Cut)
    one.publish(*several)
    with pytest.raises(Retriable):
        one.sink.write(one.left(), ends(one.left()))
    known = rows(dsn)

    another = drive()
    another.publish(*several)
    another.carry()
    another.resync()

    shows(backstage, *several)
    assert known == {}


def _cut(dsn, answer):
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'mainstem-sink-backstage'"
        )
    return answer


def test_a_resync_of_what_is_unchanged_puts_nothing(drive, several):
    one = drive()
    one.carry(*several)
    one.resync()
    put = one.metric("resynced_shards_total", result="put")
    one.resync()

    assert one.metric("resynced_shards_total", result="put") == put
