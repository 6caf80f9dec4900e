"""What is not merged where it fell: forwarded, set aside, or only counted."""

import struct

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle import Said, World
from tests.properties.changes import EPOCH, histories, worlds
from tests.properties.harness import Arriving, Installation, avro_value, json_value, partition_of

DOCUMENT = {"entity": {"apiVersion": "v1", "kind": "Component", "metadata": {"name": "Pay"}}}
KEY = b"component:default/pay"
TOPIC = "mainstem.changes.git"
HOME = partition_of(KEY, 4)
AWAY = (HOME + 1) % 4
FORWARDED = "mainstem-forwarded-from"


def arriving(*, key=KEY, partition=HOME, value=None, headers=(), offset=7):
    value = json_value(DOCUMENT) if value is None else value
    return Arriving(TOPIC, partition, offset, EPOCH + 5, key, value, list(headers))


@pytest.fixture
def installation():
    return Installation(World(), partitions=4, now=EPOCH)


@pytest.mark.parametrize(
    ("key", "partition"),
    [(b"component:default/other", HOME), (b"Component:default/pay", HOME), (None, AWAY), (b"", AWAY), (KEY, AWAY)],
    ids=["wrong key", "key in another case", "null key", "empty key", "wrong partition"],
)
def test_a_change_that_fell_in_the_wrong_place_is_forwarded_unchanged_and_not_merged(installation, key, partition):
    headers = [("trace", b"1")]
    installation.take([arriving(key=key, partition=partition, headers=headers)])
    ((topic, to, output),) = installation.forwarded
    assert (topic, to, *output) == (
        TOPIC, HOME, KEY, json_value(DOCUMENT), [*headers, (FORWARDED, f"{TOPIC}/{partition}/7".encode())], EPOCH + 5,
    )  # fmt: skip
    assert (installation.history, installation.table.states) == ({}, {})


def test_a_record_forwarded_twice_names_its_first_origin_once(installation):
    first = [(FORWARDED, b"mainstem.changes.git/3/1")]
    installation.take([arriving(key=None, headers=first)])
    ((_, _, output),) = installation.forwarded
    assert output.headers == first


def test_a_forwarded_change_has_its_first_origin_as_id(installation):
    installation.take([arriving(headers=[(FORWARDED, b"mainstem.changes.git/3/1")])])
    assert installation.held[KEY]["git"].id == "mainstem.changes.git/3/1"


def test_a_dead_letter_of_a_forwarded_record_names_the_first_origin(installation):
    installation.take([arriving(value=b"x", headers=[(FORWARDED, b"mainstem.changes.git/3/1")])])
    headers = dict(installation.dead_letters[0].headers)
    assert (headers["mainstem-origin-partition"], headers["mainstem-origin-offset"]) == (b"3", b"1")


@pytest.mark.parametrize("op", ["outage", "recovered"])
def test_a_control_record_is_counted_and_never_forwarded(installation, op):
    installation.take(
        [arriving(key=b"git", partition=partition, value=json_value({"op": op})) for partition in range(4)]
    )
    assert installation.forwarded == installation.dead_letters == []
    assert installation.count("mainstem_processor_outcomes_total", outcome="control") == 4


@given(worlds, histories(), st.randoms(use_true_random=False))
def test_changes_published_under_any_key_on_any_partition_arrive_in_the_end(world, history, random):
    straight, crooked = (Installation(world, partitions=3, now=EPOCH) for _ in range(2))
    straight.say(history)
    for one in history:
        arrival = crooked.arrival(one)
        arrival.partition = random.randrange(3)
        arrival.key = random.choice((arrival.key, None, b"x"))
        crooked.take([arrival])
    for topic, partition, output in crooked.forwarded[:]:
        crooked.take([Arriving(topic, partition, 0, output.timestamp, output.key, output.value, list(output.headers))])
    assert crooked.entities == straight.entities


DEEP = b"[" * 10_000 + b"]" * 10_000
ENTITY = b'{"entity": %s}'
NAMED = b'{"entity": {"apiVersion": "v1", "kind": "Component", "metadata": {"name": %s}}}'
POISON = {
    "null value": (None, "decode"),
    "empty value": (b"", "decode"),
    "no object": (b"[]", "decode"),
    "byte order mark": (b"\xef\xbb\xbf{}", "decode"),
    "leading space": (b" {}", "decode"),
    "bad UTF-8": (b'{"entity": "\xff"}', "decode"),
    "truncated": (json_value(DOCUMENT)[:-1], "decode"),
    "trailing": (json_value(DOCUMENT) + b"{}", "decode"),
    "depth 10,000": (ENTITY % DEEP, "decode"),
    "NaN": (b'{"version": NaN}', "decode"),
    "Infinity": (b'{"version": -Infinity}', "decode"),
    "no double": (b'{"version": 1e400}', "decode"),
    "lone surrogate": (NAMED % b'"\\ud800"', "decode"),
    "NUL": (NAMED % b'"a\\u0000b"', "decode"),
    "alias bomb": (b"a: &a [x, x]\nb: [*a, *a]\n", "decode"),
    "too large": (b'{"x": "%s"}' % (b"x" * 1_000_000), "decode"),
    "unknown schema id": (struct.pack(">bI", 0, 99) + b"x", "decode"),
    "broken Avro": (avro_value(DOCUMENT)[:-3], "decode"),
    "trailing Avro": (avro_value(DOCUMENT) + b"\0", "decode"),
    "NUL in Avro": (avro_value({"entity": {"a": "\0"}}), "decode"),
    "no entity": (b"{}", "validate"),
    "unknown op": (b'{"op": "rename"}', "validate"),
    "300-character name": (NAMED % (b'"%s"' % (b"n" * 300)), "validate"),
    "number as name": (NAMED % b"1", "validate"),
    "lower case of a known kind": (json_value(DOCUMENT).replace(b"Component", b"component"), "validate"),
    "other tenant": (json_value({**DOCUMENT, "tenant": "acme"}), "validate"),
    "other ref": (json_value({**DOCUMENT, "entityRef": "component:default/cart"}), "validate"),
    "delete without ref": (b'{"op": "delete"}', "validate"),
}


@pytest.mark.parametrize(("value", "stage"), POISON.values(), ids=POISON)
def test_poison_becomes_a_dead_letter_byte_for_byte_and_the_line_moves_on(installation, value, stage):
    poisoned = Arriving(TOPIC, HOME, 6, EPOCH, b"any key", value, [("trace", b"1")])
    installation.take([poisoned, arriving()])
    (letter,) = installation.dead_letters
    assert (letter.key, letter.value) == (b"any key", value)
    reason, *headers = sorted(letter.headers, key=lambda header: header[0] != "mainstem-reason")
    assert headers == [
        ("trace", b"1"),
        ("mainstem-origin-topic", TOPIC.encode()),
        ("mainstem-origin-partition", b"%d" % HOME),
        ("mainstem-origin-offset", b"6"),
        ("mainstem-origin-timestamp", b"%d" % EPOCH),
        ("mainstem-stage", stage.encode()),
        ("mainstem-error", b"DecodeError" if stage == "decode" else b"ValidationError"),
        ("mainstem-attempts", b"1"),
    ]
    assert reason[1]
    assert installation.entities.keys() == {KEY.decode()}


@pytest.mark.parametrize(
    "document",
    [
        {"entity": {"apiVersion": "v1", "kind": "Component", "metadata": {"name": "canary secret"}}},
        {"op": "canary"},
        {"op": "delete", "entityRef": "canary"},
        {**DOCUMENT, "observedAt": "canary"},
        {**DOCUMENT, "tenant": "canary"},
        {**DOCUMENT, "service": {"runbooks": ["canary"]}},
    ],
)
def test_the_reason_holds_no_text_of_the_payload(installation, document):
    installation.take([arriving(value=json_value(document))])
    assert b"canary" not in dict(installation.dead_letters[0].headers)["mainstem-reason"]


def test_of_duplicate_keys_the_last_counts(installation):
    installation.take([arriving(value=NAMED.replace(b'"name"', b'"name": "x", "name"') % b'"pay"')])
    assert installation.entities.keys() == {KEY.decode()}


def test_names_that_differ_in_case_are_one_entity(installation):
    for connector, name in (("a", "pay"), ("b", "PAY")):
        entity = {**DOCUMENT["entity"], "metadata": {"name": name}}
        installation.say([Said(connector, EPOCH, {"entity": entity})])
    assert installation.entities[KEY.decode()]["entity"]["metadata"]["name"] == "pay"


def test_cyclic_dependencies_are_only_texts(installation):
    for name, other in (("a", "b"), ("b", "a")):
        spec = {"dependsOn": [f"component:{other}"]}
        entity = {**DOCUMENT["entity"], "metadata": {"name": name}, "spec": spec}
        installation.say([Said("git", EPOCH, {"entity": entity})])
    assert installation.entities.keys() == {"component:default/a", "component:default/b"}


def test_a_merged_entity_above_four_mebibytes_is_set_aside_at_stage_merge_and_the_last_good_one_stays(installation):
    for number in range(6):
        spec = {f"x{number}": "x" * 900_000}
        installation.say([Said(f"c{number}", EPOCH, {"entity": {**DOCUMENT["entity"], "spec": spec}})])
    stages = [dict(letter.headers)["mainstem-stage"] for letter in installation.dead_letters]
    assert stages == [b"merge", b"merge"]
    assert installation.entities[KEY.decode()]["entity"]["spec"].keys() == {"x0", "x1", "x2", "x3"}


def test_the_published_json_is_the_canonical_text_of_what_was_hashed(installation):
    installation.say([Said("git", EPOCH, {**DOCUMENT, "service": {"ü": 1.0, "a": [True, None, 1e16, -0.0]}})])
    (entity,) = installation.history[KEY]
    assert orjson.dumps(entity.service, option=orjson.OPT_SORT_KEYS) == '{"a":[true,null,1e+16,-0.0],"ü":1.0}'.encode()
