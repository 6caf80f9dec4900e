"""When nobody vouches for an entity any more: a null value that says when and why."""

import pytest

from tests.oracle import Connector, Said, World
from tests.properties.changes import EPOCH
from tests.properties.harness import Installation

ENTITY = {"apiVersion": "v1", "kind": "Component", "metadata": {"name": "pay"}}
REF = "component:default/pay"
KEY = REF.encode()
WORLD = World({"short": Connector(ttl=60), "oncall": Connector(asserts_existence=False)})
DAY = 24 * 3600


@pytest.fixture
def installation():
    return Installation(WORLD, partitions=1, now=EPOCH)


def upsert(connector="git", at=0, **fields):
    return Said(connector, EPOCH + at * 1000, {"entity": ENTITY, **fields})


def delete(connector="git", at=0, **fields):
    return Said(connector, EPOCH + at * 1000, {"op": "delete", "entityRef": REF, **fields})


def reasons(installation):
    return [dict(headers)["reason"] for headers in installation.vanished.get(KEY, [])]


def test_a_vanished_entity_is_a_null_value_with_version_time_and_reason(installation):
    installation.say([upsert()])
    version = installation.history[KEY][0].version
    installation.wait(5)
    installation.say([delete(at=5)])
    expected = [("version", b"%d" % (version + 1)), ("mergedAt", b"%d" % (EPOCH + 5000)), ("reason", b"deleted")]
    assert installation.vanished[KEY] == [expected]


def test_an_entity_whose_last_asserting_record_outlived_its_ttl_vanishes_as_expired(installation):
    installation.say([upsert("short")])
    installation.wait(60)
    assert reasons(installation) == [b"expired"]


def test_an_entity_is_there_until_the_very_end_of_its_life(installation):
    installation.say([upsert("short")])
    installation.wait(59.999)
    assert reasons(installation) == []


def test_what_ended_the_last_asserting_record_counts_not_what_ended_an_earlier_one(installation):
    installation.say([upsert("short"), upsert("git"), delete("git", at=1)])
    installation.wait(60)
    assert reasons(installation) == [b"expired"]


def test_a_delete_after_another_connectors_expiry_ends_it_as_deleted(installation):
    installation.say([upsert("short"), upsert("git")])
    installation.wait(60)
    installation.say([delete("git", at=60)])
    assert reasons(installation) == [b"deleted"]


def test_a_record_that_only_enriches_never_keeps_an_entity_alive(installation):
    installation.say([upsert("git"), upsert("oncall"), delete("git", at=1)])
    assert installation.entities == {}


def test_an_override_alone_makes_no_entity(installation):
    installation.say([upsert("override")])
    assert installation.history == {}


def test_the_delete_of_a_record_that_only_enriches_is_no_delete_of_the_entity(installation):
    installation.say([upsert("git"), upsert("oncall"), delete("oncall", at=1)])
    assert installation.entities.keys() == {REF}


def test_an_upsert_dead_on_arrival_ends_its_connectors_record_as_expired(installation):
    installation.say([upsert("git")])
    installation.wait(DAY)
    installation.say([upsert("git", at=DAY, observedAt=EPOCH + 1, ttlSeconds=1)])
    assert reasons(installation) == [b"expired"]


def test_an_entity_created_and_deleted_in_one_run_is_never_published(installation):
    installation.say([upsert(), delete(at=1)])
    assert installation.history == {}


def test_an_entity_that_comes_back_after_its_tombstone_is_created_again(installation):
    installation.say([upsert()])
    installation.say([delete(at=1)])
    installation.say([upsert(at=2)])
    changes = [entity and (entity.change, entity.changed) for entity in installation.history[KEY]]
    assert changes == [("created", [""]), None, ("created", [""])]


def test_a_late_older_upsert_does_not_bring_a_deleted_entity_back(installation):
    installation.say([upsert(), delete(at=10)])
    installation.wait(7 * DAY)
    installation.say([upsert(at=9)])
    assert installation.entities == {}


def test_a_tombstone_is_forgotten_after_seven_days_from_the_later_of_its_times(installation):
    installation.say([delete(at=10, observedAt=EPOCH)])
    installation.wait(7 * DAY + 9)
    assert KEY in installation.held
    installation.wait(1)
    assert installation.held == {}


def test_a_tombstone_with_a_longer_ttl_is_held_that_long(installation):
    installation.say([delete(ttlSeconds=9 * DAY)])
    installation.wait(9 * DAY - 1)
    assert KEY in installation.held
    installation.wait(1)
    assert installation.held == {}


def test_a_dead_upsert_still_outranks_older_changes_of_its_connector(installation):
    installation.say([upsert("short", at=10)])
    installation.wait(DAY)
    installation.say([upsert("short", at=5, ttlSeconds=None)])
    assert installation.entities == {}


def test_a_dead_upsert_is_forgotten_seven_days_after_its_death(installation):
    installation.say([upsert("short")])
    installation.wait(7 * DAY + 59)
    assert KEY in installation.held
    installation.wait(1)
    assert installation.held == {}


def test_an_unchanged_upsert_renews_a_life_and_publishes_nothing(installation):
    installation.say([upsert("short")])
    installation.wait(30)
    installation.say([upsert("short", at=30)])
    installation.wait(59)
    assert [len(installation.history[KEY]), installation.held[KEY]["short"].observed_at] == [1, EPOCH + 30_000]
