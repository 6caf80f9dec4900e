"""What Backstage shows when it ended, as it likes or not, was away, or lost its databases."""

import pytest

from schemas.entities import Vanished
from schemas.errors import Retriable
from sinks.batches import ends
from tests.backstage.stage import shows


@pytest.fixture
def one(drive, several):
    drive = drive()
    drive.carry(*several)
    drive.resync()
    return drive


def hashes(status):
    return {each["hash"] for each in status["shards"]}


def test_a_restart_keeps_the_entities_and_is_seen_in_the_status(backstage, one, several):
    before = backstage.status()
    backstage.restart()
    after = backstage.status()

    one.resync()

    shows(backstage, *several)
    assert before["instance"] != after["instance"]
    assert (None in hashes(before), hashes(after)) == (False, {None})
    assert sum(each["entities"] for each in after["shards"]) == len(several)


def test_what_was_answered_outlives_a_kill(backstage, one, several):
    backstage.kill()
    backstage.start()

    shows(backstage, *several)
    one.resync()
    shows(backstage, *several)


def test_what_was_merged_while_it_was_away_is_shown_when_it_is_back(backstage, one, several, whole):
    changed, new = whole("e1", 101, description="meanwhile"), whole("new", 102)
    backstage.stop()
    one.publish(changed, new)
    one.publish(
        Vanished(tenant="default", entity_ref=several[1].entity_ref, version=103, merged_at=1, reason="deleted")
    )
    for _ in range(5):
        with pytest.raises(Retriable):
            one.sink.write(one.left(), ends(one.left()))
    backstage.start()

    one.carry()
    one.resync()

    shows(backstage, changed, new, *several[2:])
    assert one.dead_letters == []


def test_a_lost_database_is_seen_in_the_status_and_filled_by_one_resync(backstage, one, several):
    backstage.empty_database()
    lost = backstage.status()["shards"]

    one.resync()

    shows(backstage, *several)
    assert {(each["hash"], each["entities"], each["applied_at"]) for each in lost} == {(None, 0, None)}
