"""What changes without anybody's change: a new policy, an outage, a record that ends the process, a store that lies."""

import json
import shutil
import time
from contextlib import suppress

import pytest

from schemas.codec import decode_entity, records_version
from streams.crashes import QUARANTINED_AFTER, KeyCrashes
from streams.table import POLICY_KEY
from tests.integration.installation import Installation, component

CONNECTORS = {"git": {"priority": 50}, "cmdb": {"priority": 60}}


@pytest.fixture
def own(kafka):
    """Yield an installation of the test's own, whose worker does not run yet."""
    installation = Installation(kafka, CONNECTORS)
    yield installation
    installation.close()


def test_a_changed_priority_reaches_every_entity_without_anyone_publishing(own):
    for number in range(250):
        for connector in CONNECTORS:
            own.queue(connector, component(f"svc-{number}", spec={"owner": connector}))
    own.flush()
    own.worker.start()
    own.settle()
    assert owners(own) == ["cmdb"] * 250
    own.worker.stop()
    own.configure(git={"priority": 70})
    own.worker.start()
    own.eventually(lambda: owners(own) == ["git"] * 250, 120)
    own.eventually(lambda: all(each["fingerprint"] for each in policy_records(own)))


def test_a_worker_with_a_lower_revision_than_was_in_force_refuses_to_start(own):
    own.put("git", component("revised"))
    own.configure(revision=3)
    own.worker.start()
    own.entity("revised")
    own.eventually(lambda: [each["revision"] for each in policy_records(own)] == [3] * 4)
    own.worker.stop()
    own.configure(revision=2)
    own.worker.start()
    assert "merge.revision: 2 is lower than 3" in own.worker.wait_until_ended()


def test_while_a_source_is_away_its_records_live_on_and_age_again_after_it_is_back(own):
    own.worker.start()
    own.worker.wait_until_working()
    sent = own.put("git", component("kept", ttlSeconds=10))
    own.entity("kept")
    own.control("git", "outage")
    time.sleep(max(0, sent.timestamp / 1000 + 13 - time.time()))
    assert [entity.change for entity in own.writes("kept")] == ["created"]
    own.control("git", "recovered")
    own.eventually(lambda: len(own.writes("kept")) == 2)
    assert own.writes("kept")[-1].value() is None


def test_a_record_that_ends_the_process_five_times_is_set_aside_and_the_others_are_merged(own):
    own.worker.settings["deadly"] = "deadly"
    for name in ("before", "deadly", "after"):
        own.put("git", component(name))
    own.worker.start()
    ended = 0
    while not own.is_settled():
        ended += own.worker.restart_when_ended(0.5)
        assert ended <= 6, own.worker.output()[-3000:]
    assert {key.decode() for key in newest(own)} == {"component:default/before", "component:default/after"}
    (letter,) = own.read(own.topics.dead_letters)
    assert json.loads(letter.value())["entity"]["metadata"]["name"] == "deadly"
    headers = dict(letter.headers())
    assert [headers[f"mainstem-{name}"] for name in ("stage", "error", "attempts")] == [
        b"merge",
        b"QuarantinedError",
        b"5",
    ]


def test_an_entity_that_ends_the_process_in_a_rollout_five_times_is_left_as_it_is(own):
    names = ("before", "deadly", "later")
    for name in names:
        for connector in CONNECTORS:
            own.put(connector, component(name, spec={"owner": connector}))
    own.worker.start()
    own.settle()
    own.worker.stop()
    state = [each for each in own.read(own.topics.changelog) if each.key() == b"component:default/deadly"][-1]
    for _ in range(QUARANTINED_AFTER - 1):
        with (
            suppress(ZeroDivisionError),
            KeyCrashes(own.worker.data_dir).watching(state.partition(), state.key(), records_version(state.value())),
        ):
            raise ZeroDivisionError
    own.worker.settings["deadly"] = "deadly"
    own.configure(git={"priority": 70})
    own.worker.start()
    ended = 0
    while not is_rolled_out(own, names):
        ended += own.worker.restart_when_ended(0.5)
        assert ended <= 2, own.worker.output()[-3000:]
    assert [own.writes(name)[-1].entity["spec"]["owner"] for name in names] == ["git", "cmdb", "git"]
    assert ended == 1
    assert '"key": "component:default/deadly"' in own.worker.output()


def test_a_local_store_that_belongs_to_another_log_is_removed_and_made_anew(own, kafka):
    own.worker.start()
    for owner in ("a", "b"):
        for number in range(30):
            own.queue("git", component(f"svc-{number}", spec={"owner": owner}))
        own.flush()
        own.settle()
    own.worker.stop()
    other = Installation(kafka, CONNECTORS)
    try:
        other.put("git", component("alone"))
        other.worker.start()
        other.entity("alone")
        other.settle()
        other.worker.stop()
        shutil.rmtree(other.worker.data_dir)
        shutil.copytree(own.worker.data_dir, other.worker.data_dir)
        other.worker.start()
        assert "the local store has read further than the changelog reaches" in other.worker.wait_until_ended()
        other.put("git", component("alone", spec={"owner": "git"}))
        other.worker.start()
        other.eventually(lambda: len(other.writes("alone")) == 2)
        assert list(newest(other)) == [b"component:default/alone"]
    finally:
        other.close()


def test_a_recovery_that_stands_still_ends_the_process_and_the_next_start_reads_anew(own):
    for number in range(20):
        own.queue("git", component(f"svc-{number}"))
    own.flush()
    own.worker.start()
    own.settle()
    own.worker.stop()
    shutil.rmtree(own.worker.data_dir)
    own.worker.settings["recovery_stands_still"] = 2
    own.worker.start()
    own.eventually(lambda: own.worker.output().count("processor.starting") == 2)
    own.worker.stop()
    own.worker.start()
    assert "recovery has read nothing for 2 s" in own.worker.wait_until_ended()
    del own.worker.settings["recovery_stands_still"]
    own.put("git", component("svc-1", spec={"owner": "git"}))
    own.worker.start()
    own.eventually(lambda: len(own.writes("svc-1")) == 2)
    assert "processor.store_removed" in own.worker.output()
    assert own.writes("svc-1")[-1].change == "updated"


def is_rolled_out(installation, names):
    """Whether no partition is on its way to another policy, and all of *names* but the deadly one are of git."""
    are_noted = all(each["fingerprint"] for each in policy_records(installation))
    return are_noted and owners(installation).count("git") == len(names) - 1


def newest(installation):
    """Return what a reader of the compacted topic sees."""
    found = {each.key(): each.value() for each in installation.read(installation.topics.entities)}
    return {key: decode_entity(value) for key, value in found.items() if value is not None}


def owners(installation):
    return [entity.entity["spec"]["owner"] for entity in newest(installation).values()]


def policy_records(installation):
    """Return the newest of each partition."""
    read = installation.read(installation.topics.changelog)
    return [json.loads(value) for value in {m.partition(): m.value() for m in read if m.key() == POLICY_KEY}.values()]
