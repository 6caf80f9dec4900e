# ruff: noqa: E501 - one case to a line
"""Rules by example, on whole entities. Records stand in order of precedence: a, b, c, then the stale y, z."""

import pytest

from schemas.canonical import canonical_json
from schemas.changes import Origin, read_change
from schemas.errors import MergeError
from streams import registry
from streams.base import Outcome, Strategy
from streams.merge import merge
from streams.policy import ConnectorPolicy, Policy
from streams.rules import Rule

NOW = 1_700_000_000_000
NONE = object()
STALE = {name: ConnectorPolicy(ttl=1, grace=3600) for name in "yz"}


def record(connector, *, kind="Component", at=NOW, metadata=None, spec=None, service=None):
    entity = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "pay", **(metadata or {})}, "spec": spec}
    origin = Origin(connector=connector, tenant="default", is_complete=False, timestamp=at, id="t/0/0")
    return read_change({"entity": entity, "service": service}, origin).record


def policy(*rules, kinds=None):
    made = [
        Rule(path=path, name=name, strategy=registry.create(name, options), kinds=kinds)
        for path, name, options in rules
    ]
    return Policy(connectors=STALE, rules=tuple(made))


def merged(records, *rules):
    return merge(records, policy(*rules), now=NOW)


def decided(strategy, says, **options):
    """Return value and winners of /spec/x as *says* has it by connector; of a pair, the second is its age in ms."""
    records = []
    for connector, told in says.items():
        value, age = told if isinstance(told, tuple) else (told, 10_000 if connector in STALE else 0)
        records.append(record(connector, at=NOW - age, spec={"x": value}))
    entity = merged(records, ("/spec/x", strategy, options))
    assert merge(records[::-1], policy(("/spec/x", strategy, options)), now=NOW) == entity
    return entity.entity.get("spec", {}).get("x", NONE), entity.provenance.get("/spec/x")


NOTHING = (NONE, None)
CASES = {
    "first: the strongest": ("first_by_priority", {}, {"a": "p", "b": "q"}, ("p", "a")),
    "first: null hides what is weaker": ("first_by_priority", {}, {"a": None, "b": "q"}, NOTHING),
    "first: an empty text is no opinion": ("first_by_priority", {}, {"a": "", "b": "q"}, ("q", "b")),
    "authoritative: whatever the others say": ("authoritative", {"connector": "b"}, {"a": "p", "b": "q"}, ("q", "b")),
    "authoritative: nothing when it says nothing": ("authoritative", {"connector": "b"}, {"a": "p", "b": ""}, NOTHING),
    "authoritative: nothing when it says null": ("authoritative", {"connector": "b"}, {"a": "p", "b": None}, NOTHING),
    "authoritative: nobody's null hides it": ("authoritative", {"connector": "b"}, {"a": None, "b": "q"}, ("q", "b")),
    "authoritative: though it is stale": ("authoritative", {"connector": "y"}, {"a": "p", "y": "q"}, ("q", "y")),
    "most recent: the last observed": ("most_recent", {}, {"a": ("p", 9), "b": ("q", 3), "c": ("r", 5)}, ("q", "b")),
    "most recent: at the same moment the strongest": ("most_recent", {}, {"a": ("p", 3), "b": ("q", 3)}, ("p", "a")),
    "most recent: fresh before stale": ("most_recent", {}, {"a": ("p", 9000), "y": ("q", 2000)}, ("p", "a")),
    "most recent: of the stale the last": ("most_recent", {}, {"y": ("p", 9000), "z": ("q", 2000)}, ("q", "z")),
    "most recent: a later null empties it": ("most_recent", {}, {"a": ("p", 9), "b": (None, 3)}, NOTHING),
    "most recent: an older null hides nothing": ("most_recent", {}, {"a": (None, 9), "b": ("q", 3)}, ("q", "b")),
    "union: every element, sorted": ("union", {}, {"a": ["q", "p"], "b": ["r", "q"]}, (["p", "q", "r"], ["a", "b"])),
    "union: stale ones contribute": ("union", {}, {"a": ["q"], "y": ["p"]}, (["p", "q"], ["a", "y"])),
    "union: null hides what is weaker": ("union", {}, {"a": ["q"], "b": None, "c": ["p"]}, (["q"], ["a"])),
    "union: what is no list adds nothing": ("union", {}, {"a": "q", "b": ["p"], "c": {"r": 1}}, (["p"], ["b"])),
    "union: of no list is left out": ("union", {}, {"a": "q", "b": 1}, NOTHING),
    "union: 1, 1.0 and true are three": ("union", {}, {"a": [1], "b": [1.0, True]}, ([1, 1.0, True], ["a", "b"])),
    "union by key: whole from the strongest": ("union_by_key", {"key": "id"}, {"a": [{"id": 1, "p": 1}], "b": [{"id": 1, "q": 2}, {"id": 2}]}, ([{"id": 1, "p": 1}, {"id": 2}], ["a", "b"])),
    "union by key: without the key no element": ("union_by_key", {"key": "id"}, {"a": [{"p": 1}, {"id": None}, {"id": ""}, "id", None], "b": [{"id": 0}]}, ([{"id": 0}], ["b"])),
    "deep merge: key by key": ("deep_merge", {}, {"a": {"p": 1}, "b": {"p": 2, "q": {"r": 3}}, "c": {"q": {"r": 4, "s": 5}}}, ({"p": 1, "q": {"r": 3, "s": 5}}, ["a", "b", "c"])),
    "deep merge: who gives nothing wins nothing": ("deep_merge", {}, {"a": {"p": 1}, "b": {"p": 2}}, ({"p": 1}, ["a"])),
    "deep merge: a null within hides that key": ("deep_merge", {}, {"a": {"p": None, "q": 1}, "b": {"p": 2}}, ({"q": 1}, ["a"])),
    "deep merge: a weaker null hides nothing": ("deep_merge", {}, {"a": {"p": 1}, "b": {"p": None}, "c": {"p": 2}}, ({"p": 1}, ["a"])),
    "deep merge: an empty text within is no opinion": ("deep_merge", {}, {"a": {"p": ""}, "b": {"p": 2}}, ({"p": 2}, ["b"])),
    "deep merge: null hides what is weaker": ("deep_merge", {}, {"a": {"p": 1}, "b": None, "c": {"q": 2}}, ({"p": 1}, ["a"])),
    "deep merge: lists are taken whole": ("deep_merge", {}, {"a": {"p": [1]}, "b": {"p": [2]}}, ({"p": [1]}, ["a"])),
    "deep merge: the strongest says what it is": ("deep_merge", {}, {"a": {"p": 1}, "b": 7, "c": {"p": 2, "q": 3}}, ({"p": 1, "q": 3}, ["a", "c"])),
    "deep merge: what is no object is taken whole": ("deep_merge", {}, {"a": [1], "b": {"p": 1}}, ([1], "a")),
    "deep merge: a placeholder is a text": ("deep_merge", {}, {"a": {"$text": "x"}, "b": {"p": 1}}, ({"$text": "x"}, "a")),
    "deep merge: empty objects are left out": ("deep_merge", {}, {"a": {}, "b": {"p": {}}}, NOTHING),
    "min: the least number": ("min", {}, {"a": 3, "b": 2.5, "c": 4}, (2.5, "b")),
    "min: of equal ones the strongest": ("min", {}, {"a": 3, "b": 1, "c": 1.0}, (1, "b")),
    "min: texts by code point": ("min", {}, {"a": "b", "b": "Z", "c": "a"}, ("Z", "b")),
    "min: false before true": ("min", {}, {"a": True, "b": False}, (False, "b")),
    "min: the strongest says the type": ("min", {}, {"a": 3, "b": "1", "c": 2, "d": False}, (2, "c")),
    "min: what has no order is the strongest's": ("min", {}, {"a": [3], "b": [1], "c": 0}, ([3], "a")),
    "min: null hides what is weaker": ("min", {}, {"a": 3, "b": None, "c": 1}, (3, "a")),
    "min: stale ones fill gaps alone": ("min", {}, {"a": 3, "y": 1}, (3, "a")),
    "min: of stale ones the least": ("min", {}, {"y": 3, "z": 1}, (1, "z")),
    "max: the greatest": ("max", {}, {"a": 3, "b": 9, "c": 9.0}, (9, "b")),
    "max: beyond what a double tells apart": ("max", {}, {"a": 2**53, "b": 2**53 + 1, "c": 2.0**53}, (2**53 + 1, "b")),
    "rank: the first in the list": ("rank", {"values": ["p", "q", "r"]}, {"a": "r", "b": "q", "c": "r"}, ("q", "b")),
    "rank: others come after, by precedence": ("rank", {"values": ["p"]}, {"a": "x", "b": "y"}, ("x", "a")),
    "rank: any in the list before others": ("rank", {"values": ["p"]}, {"a": "x", "b": "p"}, ("p", "b")),
    "rank: 1 is neither true nor 1.0": ("rank", {"values": [1]}, {"a": True, "b": 1.0, "c": 1}, (1, "c")),
    "rank: null hides what is weaker": ("rank", {"values": ["p"]}, {"a": "x", "b": None, "c": "p"}, ("x", "a")),
    "rank: fresh before stale": ("rank", {"values": ["p"]}, {"a": "x", "y": "p"}, ("x", "a")),
    "rank: of a value that is named twice the first place": ("rank", {"values": ["p", "q", "p"]}, {"a": "q", "b": "p"}, ("p", "b")),
    "drop: nothing": ("drop", {}, {"a": 1, "b": 2}, NOTHING),
    "coupled with itself: the first": ("coupled", {"pointers": []}, {"a": None, "b": 2}, NOTHING),
}  # fmt: skip


@pytest.mark.parametrize(("strategy", "options", "says", "expected"), CASES.values(), ids=CASES)
def test_a_strategy_decides(strategy, options, says, expected):
    value, winners = decided(strategy, says, **options)
    assert (winners, value is NONE) == (expected[1], expected[0] is NONE)
    assert value is NONE or canonical_json(value) == canonical_json(expected[0])


def test_objects_deeper_than_anybody_reads_are_merged_without_a_fault():
    def nested(leaf, depth=900):
        value = leaf
        for _ in range(depth):
            value = {"p": value}
        return value

    value, _ = decided("deep_merge", {"a": nested(1), "b": nested(2)})
    assert canonical_json(value) == canonical_json(nested(1))


# -- which rule counts


def test_the_longest_path_counts_and_a_shorter_one_for_all_else():
    records = [
        record("a", spec={"owner": "a", "type": "a", "system": "a"}, service={"tier": "a"}),
        record("b", spec={"owner": "b", "type": "b"}, service={"tier": "b"}),
    ]
    entity = merged(records, ("/spec", "authoritative", {"connector": "b"}), ("/spec/owner", "first_by_priority", {}))
    assert (entity.entity["spec"], entity.service) == ({"owner": "a", "type": "b"}, {"tier": "a"})


def test_a_rule_for_other_kinds_changes_nothing():
    records = [record("a", spec={"x": 2}), record("b", spec={"x": 1})]
    rules = policy(("/spec/x", "min", {}), kinds=frozenset({"api", "group"}))
    assert merge(records, rules, now=NOW) == merge(records, Policy(connectors=STALE), now=NOW)


@pytest.mark.parametrize("kind", ["Widget", "WIDGET"])
def test_a_rule_counts_for_its_kind_however_it_is_spelled(kind):
    records = [record("a", kind=kind, spec={"x": 2}), record("b", kind=kind, spec={"x": 1})]
    rules = policy(("/spec/x", "min", {}), kinds=frozenset({"widget"}))
    assert merge(records, rules, now=NOW).entity["spec"] == {"x": 1}


def test_no_rule_makes_the_identity():
    records = [record("a", metadata={"title": "T"})]
    entity = merged(records, ("/metadata", "drop", {}))
    assert entity.entity == {
        "apiVersion": "v1",
        "kind": "Component",
        "metadata": {"name": "pay", "namespace": "default"},
    }


def test_a_rule_above_a_map_is_about_each_of_its_keys():
    records = [
        record("a", metadata={"labels": {"p": "3", "q": "3", "r": "1"}}),
        record("b", metadata={"labels": {"p": "2", "q": ""}}),
        record("c", metadata={"labels": None}),
        record("d", metadata={"labels": {"p": "1", "s": "1"}}),
    ]
    entity = merged(records, ("/metadata/labels", "min", {}), ("/metadata/labels/r", "drop", {}))
    assert entity.entity["metadata"]["labels"] == {"p": "2", "q": ""}
    assert {at: won for at, won in entity.provenance.items() if "labels" in at} == {
        "/metadata/labels/p": "b",
        "/metadata/labels/q": "b",
    }


def test_a_rule_about_one_key_leaves_the_other_keys_as_they_are():
    records = [
        record("a", metadata={"annotations": {"p/q": "2", "r": "a"}}),
        record("b", metadata={"annotations": {"p/q": "1", "r": "b", "s": "b"}}),
    ]
    entity = merged(records, ("/metadata/annotations/p~1q", "min", {}))
    assert entity.entity["metadata"]["annotations"] == {"p/q": "1", "r": "a", "s": "b"}


def test_a_rule_takes_the_place_of_a_default_union():
    records = [record("a", metadata={"tags": ["x"]}), record("b", metadata={"tags": ["y"]})]
    entity = merged(records, ("/metadata/tags", "first_by_priority", {}))
    assert (entity.entity["metadata"]["tags"], entity.provenance["/metadata/tags"]) == (["x"], "a")


def test_a_union_of_what_is_one_already_stays_as_it_is():
    records = [
        record(name, metadata={"links": [{"url": "https://x", "title": name}, {"url": f"https://{name}"}]})
        for name in "ab"
    ]
    found = [
        merged(records, *rules).entity["metadata"]["links"]
        for rules in ((), (("/metadata", "first_by_priority", {}), ("/metadata/links", "union", {})))
    ]
    assert found == [[{"url": "https://x", "title": "a"}, {"url": "https://a"}, {"url": "https://b"}]] * 2


def test_a_rule_for_the_type_of_an_api_lets_its_definition_go_alone():
    records = [
        record("a", kind="API", spec={"type": "2"}),
        record("b", kind="API", spec={"type": "1", "definition": "b"}),
    ]
    found = [
        merged(records, rule).entity["spec"]
        for rule in (("/spec/type", "max", {}), ("/spec/definition", "drop", {}), ("/spec/other", "drop", {}))
    ]
    assert found == [{"type": "2", "definition": "b"}, {"type": "2"}, {"type": "1", "definition": "b"}]


def test_a_rule_for_a_location_takes_it_out_of_its_group():
    view, edit = "backstage.io/view-url", "backstage.io/edit-url"
    records = [
        record("a", metadata={"annotations": {view: "a"}}),
        record("b", metadata={"annotations": {view: "b", edit: "b"}}),
    ]
    at = "/metadata/annotations/backstage.io~1edit-url"
    found = [merged(records, *rules).entity["metadata"]["annotations"] for rules in ((), ((at, "max", {}),))]
    assert found == [{view: "a"}, {view: "a", edit: "b"}]


# -- coupled groups

GROUP = ("/spec/owner", "coupled", {"pointers": ["/service/tier", "/metadata/labels/env"]})


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([{"spec": {"owner": "a"}}, {"service": {"tier": "b"}}], ("a", None, None)),
        ([{}, {"service": {"tier": "b"}, "metadata": {"labels": {"env": ""}}}], (None, "b", "")),
        ([{"spec": {"owner": ""}}, {"spec": {"owner": "b"}, "service": {"tier": "b"}}], ("b", "b", None)),
        ([{"spec": {"owner": None}}, {"spec": {"owner": "b"}, "service": {"tier": "b"}}], (None, "b", None)),
        ([{"metadata": {"labels": None}}, {"metadata": {"labels": {"env": "b"}}, "service": {"tier": "b"}}], (None, "b", None)),
        ([{"spec": {"owner": None}}, {"spec": {"owner": "b"}}], (None, None, None)),
    ],
    ids=[
        "all from the strongest that has any",
        "an empty text is a value in a label",
        "and none elsewhere",
        "a null counts for its field alone",
        "a null map for its keys alone",
        "nothing is left",
    ],
)  # fmt: skip
def test_a_coupled_group_is_of_one_record(records, expected):
    entity = merged([record(name, **says) for name, says in zip("ab", records, strict=True)], GROUP)
    spec, labels = entity.entity.get("spec", {}), entity.entity["metadata"].get("labels", {})
    assert (spec.get("owner"), entity.service.get("tier"), labels.get("env")) == expected


# -- strategies that break


class Breaking(Strategy):
    def decide(self, claims):
        raise KeyError(claims[0].value)


def test_what_breaks_a_strategy_is_an_error_of_the_merge_without_payload_text():
    rule = Rule(path="/spec/x", name="breaking", strategy=Breaking({}))
    with pytest.raises(MergeError, match=r"^the strategy breaking of /spec/x failed: KeyError$"):
        merge([record("a", spec={"x": "secret"})], Policy(rules=(rule,)), now=NOW)


class Answers(Strategy):
    def decide(self, claims):
        del claims
        return self.options["answer"]


@pytest.mark.parametrize(
    "answer",
    [
        Outcome({1, 2}, "a"),
        Outcome(b"bytes", "a"),
        Outcome({1: 2}, "a"),
        Outcome(2**70, "a"),
        Outcome("\ud800", "a"),
        Outcome("\0", "a"),
        Outcome("x", None),
        Outcome("x", [["a"]]),
        ("x", "a"),
        "x",
    ],
    ids=repr,
)
def test_what_a_strategy_answers_and_nobody_can_write_is_an_error_of_the_merge(answer):
    rule = Rule(path="/spec/x", name="odd", strategy=Answers({"answer": answer}))
    with pytest.raises(MergeError, match=r"^the strategy odd of /spec/x failed: \w+$"):
        merge([record("a", spec={"x": "secret"})], Policy(rules=(rule,)), now=NOW)
