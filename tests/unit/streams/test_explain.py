# ruff: noqa: E501 - one case to a line
"""Reasons, one by one. Records stand in order of precedence: the priority of a is 3, of b and c 2; y and z are stale."""

import pytest

from schemas.changes import Origin, read_change
from streams import registry
from streams.explain import explain
from streams.policy import ConnectorPolicy, Policy
from streams.rules import Rule

NOW = 1_700_000_000_000
PRIORITIES = {"a": 3, "b": 2, "c": 2, "y": 9, "z": 9}
CONNECTORS = {
    name: ConnectorPolicy(priority=priority, ttl=60 if name in "yz" else float("inf"), grace=3600)
    for name, priority in PRIORITIES.items()
}


def record(connector, spec, *, kind="Widget", age=None, annotations=None):
    metadata = {"name": "w", "annotations": annotations}
    at = NOW - (60_000 if connector in "yz" and age is None else age or 0)
    origin = Origin(connector=connector, tenant="default", is_complete=False, timestamp=at, id="t/0/0")
    return read_change(
        {"entity": {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}}, origin
    ).record


def reasons(records, at, *rule, **options):
    """Return winners and the reason of each loser at the pointer *at*."""
    rules = (Rule(path=rule[0], name=rule[1], strategy=registry.create(rule[1], options)),) if rule else ()
    (leaf,) = explain(records, Policy(connectors=CONNECTORS, rules=rules), now=NOW).at(at)
    return leaf.winners, {loser.connector: loser.reason for loser in leaf.losers}


CASES = {
    "precedence": ((), {"a": 1, "b": 2, "c": 3, "y": 4}, ("a",), {"b": "lower priority", "c": "lower priority", "y": "stale"}),
    "a tie": ((), {"b": 2, "c": 2}, ("b",), {"c": "tie: connector id"}),
    "a weaker null": ((), {"a": 1, "b": None, "c": 2}, ("a",), {"b": "lower priority", "c": "lower priority"}),
    "a null above all": ((), {"a": None, "b": 2, "c": None}, (), {"a": "says that it is empty", "b": "hidden by null", "c": "hidden by null"}),
    "authoritative": (("authoritative", {"connector": "c"}), {"a": 1, "c": 3}, ("c",), {"a": "not authoritative"}),
    "authoritative null": (("authoritative", {"connector": "c"}), {"a": 1, "c": None}, (), {"a": "not authoritative", "c": "says that it is empty"}),
    "most recent": (("most_recent", {}), {"a": (1, 9), "b": (2, 3), "c": (3, 3), "y": 4}, ("b",), {"a": "older", "c": "tie: connector id", "y": "stale"}),
    "most recent null": (("most_recent", {}), {"a": (1, 9), "b": (None, 3)}, (), {"a": "hidden by null", "b": "says that it is empty"}),
    "union": (("union", {}), {"a": [1], "b": [], "c": None, "y": [2]}, ("a",), {"b": "adds nothing", "c": "says that it is empty", "y": "hidden by null"}),
    "deep merge": (("deep_merge", {}), {"a": {"p": 1}, "b": {"p": 2}, "c": 3, "y": {"q": 1}}, ("a", "y"), {"b": "lower priority", "c": "of another type"}),
    "min": (("min", {}), {"a": 2, "b": 1, "c": 1.0, "y": 0}, ("b",), {"a": "greater", "c": "tie: connector id", "y": "stale"}),
    "max": (("max", {}), {"a": 2, "b": 1, "c": "9"}, ("a",), {"b": "less", "c": "of another type"}),
    "max and null": (("max", {}), {"a": 2, "b": None, "c": 9}, ("a",), {"b": "says that it is empty", "c": "hidden by null"}),
    "rank": (("rank", {"values": ["p", "q"]}), {"a": "q", "b": "p", "c": "x"}, ("b",), {"a": "ranks lower", "c": "ranks lower"}),
    "drop": (("drop", {}), {"a": 1, "b": None}, (), {"a": "dropped by a rule", "b": "dropped by a rule"}),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "says", "winners", "expected"), CASES.values(), ids=CASES)
def test_every_loser_has_its_reason(rule, says, winners, expected):
    records = [
        record(name, {"x": told[0]}, age=told[1]) if isinstance(told, tuple) else record(name, {"x": told})
        for name, told in says.items()
    ]
    rules = ("/spec/x", rule[0]) if rule else ()
    assert reasons(records, "/spec/x", *rules, **(rule[1] if rule else {})) == (winners, expected)


@pytest.mark.parametrize(
    ("says", "winners", "expected"),
    [
        ({"a": {"type": "p"}, "b": {"type": "q", "definition": "d"}}, ("b",), {"a": "comes with /spec/definition alone"}),
        ({"a": {"definition": "d"}, "b": {"type": "q", "definition": "d"}}, (), {"b": "lower priority"}),
        ({"a": {"type": None}, "b": {"type": "q", "definition": "d"}}, (), {"a": "says that it is empty", "b": "hidden by null"}),
        ({"a": {"type": "p"}, "b": {"type": "q"}}, (), {"a": "comes with /spec/definition alone", "b": "comes with /spec/definition alone"}),
    ],
)  # fmt: skip
def test_the_type_of_an_api_is_explained_by_its_definition(says, winners, expected):
    records = [record(name, spec, kind="API") for name, spec in says.items()]
    assert reasons(records, "/spec/type") == (winners, expected)


def test_a_location_that_was_not_taken_is_explained_by_the_record_that_the_group_is_of():
    view, edit = "backstage.io/view-url", "backstage.io/edit-url"
    records = [record("a", {}, annotations={view: "url:a"}), record("b", {}, annotations={edit: "url:b"})]
    assert reasons(records, "/metadata/annotations/backstage.io~1edit-url") == ((), {"b": "lower priority"})


def test_a_member_of_a_ruled_group_is_explained_by_the_record_that_the_group_is_of():
    records = [record("a", {"x": 1}), record("c", {"y": 2}), record("b", {"x": 3, "y": 4})]
    rule = ("/spec/x", "coupled")
    found = [reasons(records, at, *rule, pointers=["/spec/y"]) for at in ("/spec/x", "/spec/y")]
    assert found == [(("a",), {"b": "lower priority"}), ((), {"b": "lower priority", "c": "lower priority"})]


def test_what_does_not_exist_is_explained_by_what_became_of_its_records():
    origin = Origin(connector="b", tenant="default", is_complete=False, timestamp=NOW, id="t/0/1")
    gone = read_change({"op": "delete", "entityRef": "widget:default/w"}, origin).record
    records = [record("y", {}, age=9_999_000), gone, record("a", {})]
    policy = Policy(connectors={**CONNECTORS, "a": ConnectorPolicy(asserts_existence=False)})
    found = explain(records, policy, now=NOW)
    assert (found.entity, found.leaves) == (None, ())
    assert [(one.connector, one.life, one.asserts_existence) for one in found.standings] == [
        ("a", "fresh", False),
        ("b", "deleted", True),
        ("y", "dead", True),
    ]


def test_a_pointer_names_the_leaves_at_and_below_it_and_no_neighbour():
    found = explain([record("a", {"x": 1, "xy": 2}, annotations={"p": "1", "q": "2"})], Policy(), now=NOW)
    named = {path: [leaf.pointer for leaf in found.at(path)] for path in ("/spec/x", "/metadata/annotations", "/none")}
    assert named == {
        "/spec/x": ["/spec/x"],
        "/metadata/annotations": ["/metadata/annotations/p", "/metadata/annotations/q"],
        "/none": [],
    }
