"""What the engine cures, as a user can observe it on a real broker."""

import json
import shutil
import threading
import time
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, TopicPartition

from mainstem.embedded import EmbeddedKafka, default_cache_dir
from schemas.codec import decode_records, encode_records
from schemas.topics import FORWARDED_FROM
from tests.integration.installation import Installation, component
from tests.integration.kill.kafka_io import partition_of
from tests.patience import timely

CONNECTORS = {
    "git": {"priority": 50},
    "cmdb": {"priority": 60},
    **{f"part-{number}": {"priority": number} for number in range(6)},
}
BROKEN = (
    (b"poison", b"{not json", "decode"),
    (b"\xff\x00", b"\xff\xfe", "decode"),
    (b"null", None, "decode"),
    (None, None, "decode"),
    (b"", b"", "decode"),
    (None, b'{"op": "bogus"}', "validate"),
    (b"list", b"[" * 3000, "decode"),
    (b"large", b'{"entity": "' + b"x" * 1_000_000 + b'"}', "decode"),
)


@pytest.fixture(scope="module")
def running(kafka):
    """Yield an installation whose worker runs; tests share it and name their entities uniquely."""
    installation = Installation(kafka, CONNECTORS)
    installation.worker.start()
    installation.worker.wait_until_working()
    yield installation
    installation.close()


@pytest.fixture
def own(kafka):
    """Yield an installation of the test's own, whose worker does not run yet."""
    installation = Installation(kafka, {"git": {"priority": 50}, "cmdb": {"priority": 60}})
    yield installation
    installation.close()


@timely
def test_when_the_winner_expires_the_next_one_takes_over_within_two_seconds(running):
    name = f"falls-back-{time.time_ns()}"
    running.put("git", component(name, spec={"owner": "git"}))
    sent = running.put("cmdb", component(name, spec={"owner": "cmdb"}, ttlSeconds=3))
    running.eventually(lambda: running.writes(name)[-1:] and _owner(running, name) == "cmdb")
    running.eventually(lambda: _owner(running, name) == "git", 10)
    late = running.writes(name)[-1].merged_at - (sent.timestamp + 3_000)
    assert 0 <= late < 2_000


def test_a_misplaced_change_is_forwarded_as_it_came(running):
    ref = b"component:default/misplaced"
    right = partition_of(ref, 4)
    ways = {b"Component:default/misplaced": right, None: right, b"no ref": (right + 1) % 4, ref: (right + 2) % 4}
    headers = [("traced", b"1"), ("traced", b"2"), ("none", None)]
    sent = {}
    for number, (key, partition) in enumerate(ways.items()):
        document = component("misplaced", spec={"owner": f"team-{number}"}, version=number + 1)
        sent[
            running.put(
                "cmdb", document, key, partition=partition, headers=headers, timestamp=1_700_000_000_000 + number
            )
        ] = document
    running.eventually(lambda: running.writes("misplaced") and _owner(running, "misplaced") == "team-3")
    running.settle()
    found = {
        header.decode(): (
            message.key(),
            message.partition(),
            message.timestamp()[1],
            message.headers()[:-1],
            message.value(),
        )
        for message in running.read(running.topics.changes("cmdb"))
        for name, header in message.headers() or ()
        if name == FORWARDED_FROM
    }
    expected = {
        each.origin: (ref, right, each.timestamp, headers, json.dumps(document).encode())
        for each, document in sent.items()
    }
    assert expected == found


@pytest.mark.parametrize(("key", "value", "stage"), BROKEN)
def test_what_cannot_be_understood_goes_to_the_dead_letters_byte_for_byte(running, key, value, stage):
    sent = running.put("git", value, key, headers=[("traced", b"me")], timestamp=1_700_000_000_000)
    message, headers = running.eventually(lambda: _dead_letter(running, sent))
    assert (message.key(), message.value()) == (key, value)
    assert headers["traced"] == b"me"
    assert headers["mainstem-stage"] == stage.encode()
    assert headers["mainstem-origin-timestamp"] == b"1700000000000"
    assert headers["mainstem-attempts"] == b"1"


def test_a_time_to_live_of_any_length_is_merged(running):
    running.put("git", component("long-lived", spec={"owner": "git"}, ttlSeconds=2**63 - 1))
    running.put("git", component("long-seen", spec={"owner": "git"}, observedAt=-(2**63)))
    assert running.entity("long-lived").entity["spec"] == {"owner": "git"}
    assert running.entity("long-seen").entity["spec"] == {"owner": "git"}


@pytest.mark.parametrize("header", [b"garbage", b"\xff", b"", b"a/b/c", None])
def test_a_forged_origin_harms_nobody(running, header):
    name = f"forged-{(header or b'none').hex()}"
    running.put("git", {**component(name), "op": "bogus"}, headers=[(FORWARDED_FROM, header)])
    running.put("git", component(name), b"wrong key", headers=[(FORWARDED_FROM, header)])
    assert running.entity(name).change == "created"


def test_a_change_that_was_compressed_beyond_all_limits_stops_nobody(own):
    own.put_compressed("git", b'{"entity": "' + b"x" * 30_000_000 + b'"}', b"bomb")
    own.put("git", component("after-the-bomb"))
    own.worker.start()
    own.settle(20)
    assert own.entity("after-the-bomb").change == "created"


@timely
def test_a_vanished_entity_is_a_null_value_that_says_why(running):
    deleted, expired = (f"{end}-{time.time_ns()}" for end in ("deleted", "expired"))
    running.put("git", component(deleted))
    running.put("git", component(expired, ttlSeconds=3))
    running.entity(deleted)
    running.put("git", {"op": "delete", "entityRef": f"component:default/{deleted}"})
    for name, reason in ((deleted, b"deleted"), (expired, b"expired")):
        existed, gone = running.eventually(lambda name=name: len(found := running.writes(name)) == 2 and found)
        headers = dict(gone.headers())
        assert (gone.value(), headers["reason"]) == (None, reason)
        assert int(headers["version"]) > existed.version
        assert int(headers["mergedAt"]) >= existed.merged_at


def test_an_entity_of_nearly_four_mebibytes_passes_and_a_larger_one_keeps_its_last_good_state(running):
    texts = {f"part-{number}": "x" * 975_000 for number in range(4)} | {"part-4": "x" * 188_000}
    for connector, text in texts.items():
        running.put(connector, component("huge", spec={connector: text}))
    running.settle()
    before = running.entity("huge")
    assert before.entity["spec"] == texts
    sent = running.put("part-5", component("huge", spec={"part-5": "x" * 150_000}))
    message, headers = running.eventually(lambda: _dead_letter(running, sent))
    assert headers["mainstem-stage"] == b"merge"
    assert len(message.value()) > 150_000
    running.put("part-4", component("huge", spec={"part-4": "small"}))
    after = running.eventually(lambda: (e := running.entity("huge")).version > before.version and e)
    assert after.entity["spec"] == {**texts, "part-4": "small"}


def test_control_records_are_counted_and_never_forwarded(own):
    for partition in range(4):
        own.put("git", {"op": "outage", "observedAt": 1_700_000_000_000}, b"git", partition=partition)
    own.worker.start()
    own.settle()
    counted = own.worker.stop()
    assert counted["control"] == 4
    assert counted["records"] == 4
    assert len(own.read(own.topics.changes("git"))) == 4
    assert own.read(own.topics.dead_letters) == []


def test_a_restart_resumes_with_a_greater_version(own):
    own.put("cmdb", component("resumes", service={"tier": "tier1"}))
    own.worker.start()
    first = own.entity("resumes")
    own.settle()
    own.worker.stop()
    own.put("git", component("resumes", spec={"owner": "git"}))
    own.worker.start()
    own.settle()
    assert own.worker.stop()["records"] == 1
    _, second = own.writes("resumes")
    assert second.version > first.version
    assert second.version >> 20 > first.version >> 20
    assert (second.service, second.entity["spec"]) == ({"tier": "tier1"}, {"owner": "git"})


def test_a_worker_whose_disk_is_gone_recovers_state_and_deadlines_from_the_changelog(own):
    own.worker.start()
    own.worker.wait_until_working()
    own.put("cmdb", component("recovers", service={"tier": "tier1"}))
    own.put("git", component("recovers", spec={"owner": "git"}, ttlSeconds=25))
    own.put("git", component("dies-meanwhile", ttlSeconds=10))
    own.settle()
    own.worker.stop()
    assert len(own.writes("dies-meanwhile")) == 1
    shutil.rmtree(own.worker.data_dir)
    time.sleep(8)
    own.worker.start()
    own.eventually(lambda: len(own.writes("dies-meanwhile")) == 2)
    after = own.eventually(lambda: (e := own.entity("recovers")).entity.get("spec") is None and e, 40)
    assert own.worker.stop()["records"] == 0
    assert after.service == {"tier": "tier1"}


def test_a_zombies_record_written_last_does_not_win_at_recovery(own):
    own.put("git", component("haunted", spec={"owner": "old"}))
    own.worker.start()
    own.entity("haunted")
    own.put("git", component("haunted", spec={"owner": "new"}))
    own.eventually(lambda: _owner(own, "haunted") == "new")
    own.settle()
    own.worker.stop()
    key = b"component:default/haunted"
    old, _new = (message.value() for message in own.read(own.topics.changelog) if message.key() == key)
    own.write(own.topics.changelog, old, key)
    own.write(own.topics.changelog, None, key, headers=[("version", b"1")])
    shutil.rmtree(own.worker.data_dir)
    own.put("cmdb", component("haunted", service={"tier": "tier1"}))
    own.worker.start()
    merged = own.eventually(lambda: (e := own.entity("haunted")).service and e)
    assert merged.entity["spec"] == {"owner": "new"}


def test_versions_grow_even_past_an_epoch_from_the_future(own):
    own.put("git", component("ahead", spec={"owner": "1"}))
    own.worker.start()
    own.entity("ahead")
    own.settle()
    own.worker.stop()
    key = b"component:default/ahead"
    (held,) = (decode_records(message.value()) for message in own.read(own.topics.changelog) if message.key() == key)
    ahead = int(time.time() + 86_400) << 20
    own.write(own.topics.changelog, encode_records(replace(held, version=ahead)), key)
    own.put("git", component("ahead", spec={"owner": "2"}))
    own.worker.start()
    own.eventually(lambda: _owner(own, "ahead") == "2")
    assert own.writes("ahead")[-1].version > ahead


def test_a_committed_offset_beyond_the_end_ends_the_worker_with_a_sentence(own):
    own.put("git", component("lost"))
    consumer = Consumer({"bootstrap.servers": own.bootstrap, "group.id": own.topics.processor_group})
    consumer.commit(offsets=[TopicPartition(own.topics.changes("git"), 0, 1_000)], asynchronous=False)
    consumer.close()
    own.worker.start()
    said = own.worker.wait_until_ended()
    assert f"{own.topics.changes('git')}/0: the committed offset 1000 lies behind the end" in said


def test_a_restart_of_the_broker_under_load_loses_nothing(tmp_path):
    service = EmbeddedKafka(tmp_path, cache_dir=default_cache_dir())
    service.start()
    own = Installation(service.address, {"git": {"priority": 50}})
    try:
        own.worker.start()
        load = threading.Thread(target=_load, args=(own,))
        load.start()
        time.sleep(4)
        service.stop()
        time.sleep(2)
        service.start()
        load.join()
        own.eventually(lambda: own.worker.restart_if_ended() or own.is_settled(), 90)
        newest = {message.key(): message for message in own.read(own.topics.entities)}
        # Away for longer than its lease, the broker may cost it the right to write: it ends, with a sentence.
        assert all(text.startswith("the processor ended") for text in own.worker.endings)
        assert len(newest) == 2_000
    finally:
        own.close()
        service.stop()


def _load(own):
    for number in range(2_000):
        own.queue("git", component(f"loaded-{number}", spec={"owner": "a"}))
        if number % 10 == 0:
            time.sleep(0.05)
    own.flush()


def _owner(installation, name):
    return installation.writes(name)[-1].entity["spec"]["owner"]


def _dead_letter(installation, sent):
    for message in installation.read(installation.topics.dead_letters):
        headers = dict(message.headers())
        if (
            "/".join(headers[f"mainstem-origin-{part}"].decode() for part in ("topic", "partition", "offset"))
            == sent.origin
        ):
            return message, headers
    return None
