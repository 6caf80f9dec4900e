# ruff: noqa: E501 - one case to a line
"""merge.md by example: each case is one sentence of it. Records stand in order of precedence: a, b, c."""

import pytest

from schemas.changes import Origin, read_change
from streams.merge import merge
from streams.policy import ConnectorPolicy, Policy

NOW = 1_700_000_000_000
NONE = object()


def record(connector, *, kind="Component", at=NOW, metadata=None, spec=None, service=None, **fields):
    entity = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "pay", **(metadata or {})}, "spec": spec}
    origin = Origin(connector=connector, tenant="default", is_complete=False, timestamp=at, id="t/0/0")
    change = read_change({"entity": entity, "service": service, **fields}, origin)
    return change.record


def outcome(records, section, policy=None, *, now=NOW):
    merged = merge(records, policy or Policy(), now=now)
    return merged.service if section == "service" else merged.entity.get(section, {})


def winners(records, at, policy=None):
    return merge(records, policy or Policy(), now=NOW).provenance.get(at)


def field(section, name, values, *, kind="Component"):
    """Return the merged field of records a, b, c … that say *values*, NONE where it is not there."""
    records = [
        record(connector, kind=kind, **{section: {} if value is NONE else {name: value}})
        for connector, value in zip("abcd", values, strict=False)
    ]
    return outcome(records, section).get(name, NONE)


# -- precedence


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"connector": "b", "priority": 2}, {"connector": "a", "priority": 1}, "b"),
        ({"connector": "b"}, {"connector": "a"}, "a"),
        ({"connector": "b", "at": NOW}, {"connector": "a", "at": NOW - 5000}, "a"),
        ({"connector": "b"}, {"connector": "a", "priority": -1}, "b"),
        ({"connector": "override", "priority": -5}, {"connector": "a", "priority": 2**63 - 1}, "override"),
        ({"connector": "b", "priority": 5, "at": NOW - 1000, "ttlSeconds": 1}, {"connector": "a"}, "a"),
        ({"connector": "override", "at": NOW - 1000, "ttlSeconds": 1}, {"connector": "a"}, "a"),
    ],
    ids=[
        "the higher priority wins",
        "then the connector id, ascending",
        "and never the later one",
        "a change's priority replaces its connector's",
        "override outranks every priority",
        "fresh before stale, whatever the priority",
        "a stale override loses too",
    ],
)
def test_the_stronger_record_wins_a_field(one, other, expected):
    policy = Policy(connectors={"b": ConnectorPolicy(grace=10), "git": ConnectorPolicy()})
    records = [record(spec={"owner": of["connector"]}, **of) for of in (one, other)]
    assert outcome(records, "spec", policy) == {"owner": expected}


def test_a_priority_left_to_the_connector_follows_the_configuration():
    policy = Policy(connectors={"b": ConnectorPolicy(priority=7)})
    assert outcome([record(name, spec={"owner": name}) for name in "ab"], "spec", policy) == {"owner": "b"}


def test_a_stale_record_still_fills_gaps_and_is_named_as_stale():
    policy = Policy(connectors={"a": ConnectorPolicy(ttl=1, grace=5)})
    records = [record("a", at=NOW - 1000, spec={"type": "x", "owner": "a"}), record("b", spec={"owner": "b"})]
    merged = merge(records, policy, now=NOW)
    assert (merged.entity["spec"], merged.stale) == ({"type": "x", "owner": "b"}, ("a",))


# -- existence


@pytest.mark.parametrize(
    ("connectors", "exists"),
    [
        (["a"], True),
        (["oncall"], False),
        (["override"], False),
        (["oncall", "a"], True),
        (["stale"], True),
        ([], False),
    ],
)
def test_the_entity_exists_while_a_live_record_asserts_it(connectors, exists):
    policy = Policy(
        connectors={"oncall": ConnectorPolicy(asserts_existence=False), "stale": ConnectorPolicy(ttl=1, grace=1)}
    )
    records = [record(name, at=NOW - 1000) for name in connectors]
    assert (merge(records, policy, now=NOW) is not None) is exists


# -- fields


def test_identity_is_spelled_as_in_the_strongest_record():
    records = [record("b", metadata={"name": "PAY"}), record("a", metadata={"name": "Pay"})]
    assert outcome(records, "metadata") == {"namespace": "default", "name": "Pay"}


def test_identity_has_provenance_like_every_other_field():
    assert merge([record("a")], Policy(), now=NOW).provenance == dict.fromkeys(
        ("/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"), "a"
    )


FIRST = {
    "the first by precedence": (["x", "y"], "x"),
    "absent is no opinion": ([NONE, "y"], "y"),
    "an empty string is absent": (["", "y"], "y"),
    "null hides lower records": ([NONE, None, "y"], NONE),
    "null hides nothing above it": (["x", None, "y"], "x"),
    "an empty list is a value": ([[], ["y"]], []),
    "an empty object is a value": ([{}, {"a": 1}], {}),
    "false is a value": ([False, True], False),
    "zero is a value": ([0, 1], 0),
    "null and empty strings inside a value are data": ([{"a": None, "b": ""}, {"c": 1}], {"a": None, "b": ""}),
}


@pytest.mark.parametrize(("values", "expected"), FIRST.values(), ids=FIRST)
@pytest.mark.parametrize("section", ["metadata", "spec", "service"])
def test_a_field_taken_whole_comes_from_the_strongest_record_that_has_it(section, values, expected):
    assert field(section, "anything", values) == expected


MAPS = {
    "per key": ([{"a": "1"}, {"a": "2", "b": "2"}], {"a": "1", "b": "2"}),
    "an empty string is a value": ([{"a": ""}, {"a": "2"}], {"a": ""}),
    "null hides the key": ([{"a": None}, {"a": "2", "b": "2"}], {"b": "2"}),
    "null instead of the map hides all lower keys": ([{"a": "1"}, None, {"b": "2"}], {"a": "1"}),
    "an empty map adds nothing": ([{}, {"a": "2"}], {"a": "2"}),
    "an empty map is left out": ([{}, {"a": None}], NONE),
}


@pytest.mark.parametrize(("values", "expected"), MAPS.values(), ids=MAPS)
@pytest.mark.parametrize("name", ["annotations", "labels"])
def test_annotations_and_labels_are_merged_per_key(name, values, expected):
    assert field("metadata", name, values) == expected


TAGS = {
    "union, sorted": ([["c", "a"], ["b", "a"]], ["a", "b", "c"]),
    "null hides what lower records add": ([["a"], None, ["b"]], ["a"]),
    "an empty list adds nothing": ([[], ["b"]], ["b"]),
    "an empty union is left out": ([[], []], NONE),
    "a null is no element": ([[None, "a"]], ["a"]),
}


@pytest.mark.parametrize(("values", "expected"), TAGS.values(), ids=TAGS)
def test_tags_are_a_sorted_union(values, expected):
    assert field("metadata", "tags", values) == expected


A, B, C = ({"url": f"https://{name}"} for name in "abc")
LINKS = {
    "by precedence, then in the record's own order": ([[C, A], [B, A]], [C, A, B]),
    "attributes from the highest record that has the url": ([[{**A, "title": "1"}], [{**A, "icon": "2"}]], [{**A, "title": "1"}]),
    "of a url that stands twice in one list the first counts": ([[{**A, "title": "1"}, {**A, "title": "2"}]], [{**A, "title": "1"}]),
    "without a url it is no element": ([[{"title": "x"}, {"url": None}, {"url": ""}, None], [A]], [A]),
    "null hides lower records": ([[A], None, [B]], [A]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), LINKS.values(), ids=LINKS)
@pytest.mark.parametrize(("section", "name"), [("metadata", "links"), ("service", "runbooks")])
def test_links_and_runbooks_are_a_union_by_url(section, name, values, expected):
    if section == "service":
        values = [[one for one in value if one != {"title": "x"}] if value else value for value in values]
    assert field(section, name, values) == expected


REFS = {
    "spelled as in the highest record": ("dependsOn", [["Component:Pay"], ["component:default/pay"]], ["Component:Pay"]),
    "sorted by canonical ref": ("dependsOn", [["resource:z", "Component:y"], ["api:x"]], ["api:x", "Component:y", "resource:z"]),
    "a missing namespace is the holder's": ("dependencyOf", [["api:x"], ["api:default/x"]], ["api:x"]),
    "another namespace is another entity": ("dependsOn", [["api:x"], ["api:team/x"]], ["api:x", "api:team/x"]),
    "a missing kind is api in providesApis": ("providesApis", [["X"], ["API:x"]], ["X"]),
    "a missing kind is api in consumesApis": ("consumesApis", [["default/X"], ["api:x"]], ["default/X"]),
    "without a kind by its lower-cased text": ("dependsOn", [["Pay"], ["pay", "default/pay"]], ["default/pay", "Pay"]),
    "what does not parse by its lower-cased text": ("providesApis", [["No Ref"], ["no ref", "a:b:c"]], ["a:b:c", "No Ref"]),
    "the first of two in one list": ("providesApis", [["X", "x"]], ["X"]),
    "null hides lower records": ("dependsOn", [["api:x"], None, ["api:y"]], ["api:x"]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "values", "expected"), REFS.values(), ids=REFS)
def test_references_are_a_union_by_canonical_ref(name, values, expected):
    assert field("spec", name, values) == expected


API = {
    "together from the highest record that has a definition": ([{"type": "a"}, {"definition": "B", "type": "b"}], {"definition": "B", "type": "b"}),
    "no type from elsewhere": ([{"definition": "A"}, {"definition": "B", "type": "b"}], {"definition": "A"}),
    "an empty definition is none": ([{"definition": "", "type": "a"}, {"definition": "B", "type": "b"}], {"definition": "B", "type": "b"}),
    "a null definition hides the definition alone": ([{"definition": None, "type": "a"}, {"definition": "B", "type": "b"}], {"type": "b"}),
    "a null type hides the type alone": ([{"type": None}, {"definition": "B", "type": "b"}], {"definition": "B"}),
    "without any definition no type": ([{"type": "a", "owner": "o"}, {"type": "b"}], {"owner": "o"}),
}  # fmt: skip


@pytest.mark.parametrize(("specs", "expected"), API.values(), ids=API)
def test_the_definition_and_type_of_an_api_belong_together(specs, expected):
    assert (
        outcome([record(name, kind="API", spec=spec) for name, spec in zip("ab", specs, strict=True)], "spec")
        == expected
    )


def test_other_kinds_know_no_such_coupling():
    specs = {"a": {"type": "a"}, "b": {"type": "b", "definition": "B"}}
    expected = {"type": "a", "definition": "B"}
    assert outcome([record(name, kind="Resource", spec=spec) for name, spec in specs.items()], "spec") == expected


@pytest.mark.parametrize(
    ("kind", "name"), [("Group", "children"), ("Group", "members"), ("User", "memberOf"), ("Group", "profile"), ("User", "profile")]
)  # fmt: skip
def test_memberships_and_profiles_come_whole_from_one_record(kind, name):
    values = [{"displayName": "A"}, {"email": "b@c"}] if name == "profile" else [["a"], ["b"]]
    assert field("spec", name, values, kind=kind) == values[0]


DEPENDENCIES = {
    "critical when any record says so": ([[{"target": "x", "isCritical": False}], [{"target": "x", "isCritical": True}]], [{"target": "x", "isCritical": True}]),
    "isCritical is always there": ([[{"target": "x"}]], [{"target": "x", "isCritical": False}]),
    "null is not critical": ([[{"target": "x", "isCritical": None}]], [{"target": "x", "isCritical": False}]),
    "other attributes from the highest": ([[{"target": "x", "type": "a"}], [{"target": "x", "type": "b"}]], [{"target": "x", "type": "a", "isCritical": False}]),
    "by target as it is spelled": ([[{"target": "x"}], [{"target": "X"}]], [{"target": "x", "isCritical": False}, {"target": "X", "isCritical": False}]),
    "of two in one list the first": ([[{"target": "x"}, {"target": "x", "isCritical": True}]], [{"target": "x", "isCritical": False}]),
    "a hidden record makes nothing critical": ([[{"target": "x"}], None, [{"target": "x", "isCritical": True}]], [{"target": "x", "isCritical": False}]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), DEPENDENCIES.values(), ids=DEPENDENCIES)
def test_dependencies_are_a_union_by_target(values, expected):
    assert field("service", "dependencies", values) == expected


def test_a_placeholder_and_a_text_that_looks_like_it_are_two_targets():
    found = field("service", "dependencies", [[{"target": '{"$text":"x"}'}], [{"target": {"$text": "x"}}]])
    assert [one["target"] for one in found] == ['{"$text":"x"}', {"$text": "x"}]


ML, OL, VU = (f"backstage.io/{name}" for name in ("managed-by-location", "managed-by-origin-location", "view-url"))
LOCATIONS = {
    "all from the highest record that has any": ([{VU: "a"}, {ML: "b", OL: "b"}], {VU: "a"}),
    "other annotations do not count": ([{"x": "a"}, {ML: "b", OL: "b"}], {"x": "a", ML: "b", OL: "b"}),
    "a null counts for its own key alone": ([{ML: None}, {ML: "b", OL: "b"}], {OL: "b"}),
    "an empty string is a value here": ([{VU: ""}, {ML: "b"}], {VU: ""}),
    "a null instead of the map hides the group": ([{"x": "a"}, None, {ML: "b"}], {"x": "a"}),
    "a null within the winner is left out": ([{VU: "a", ML: None}, {ML: "b"}], {VU: "a"}),
}


@pytest.mark.parametrize(("values", "expected"), LOCATIONS.values(), ids=LOCATIONS)
def test_the_location_annotations_are_one_group(values, expected):
    assert field("metadata", "annotations", values) == expected


def test_the_orphan_annotation_is_dropped():
    assert field("metadata", "annotations", [{"backstage.io/orphan": "true"}]) is NONE


@pytest.mark.parametrize("spec", [None, {}, "", {"owner": None}, {"dependsOn": []}])
def test_a_spec_of_which_nothing_is_left_is_left_out(spec):
    assert "spec" not in merge([record("a", spec=spec)], Policy(), now=NOW).entity


# -- provenance


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([["x"], ["y"]], ["a", "b"]),
        ([["x"], ["x"]], ["a", "b"]),
        ([["x"], []], ["a"]),
        ([[None], ["x"]], ["b"]),
        ([["x"], None, ["y"]], ["a"]),
        ([[], []], None),
    ],
    ids=["all that add", "also the same again", "not without elements", "nor with nulls", "not below a null", "none"],
)  # fmt: skip
def test_a_union_names_every_record_above_the_first_null_that_has_an_element(values, expected):
    records = [record(name, metadata={"tags": value}) for name, value in zip("abc", values, strict=False)]
    assert winners(records, "/metadata/tags") == expected


def test_pointers_escape_as_rfc_6901_says():
    records = [record("a", metadata={"annotations": {"a.b/c": "x"}}, service={"~/": 1})]
    assert merge(records, Policy(), now=NOW).provenance.keys() >= {"/metadata/annotations/a.b~1c", "/service/~0~1"}
