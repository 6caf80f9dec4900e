"""Backstage's rules for an entity, whole and in part."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.descriptors import faults, received


def whole(kind: str = "Component", spec: Any = None, **metadata: Any) -> dict[str, Any]:
    specs = {
        "Component": {"type": "service", "lifecycle": "production", "owner": "team-a"},
        "API": {"type": "openapi", "lifecycle": "production", "owner": "team-a", "definition": "openapi: 3.1.0"},
        "Resource": {"type": "database", "owner": "team-a"},
        "System": {"owner": "team-a"},
        "Domain": {"owner": "team-a"},
        "Group": {"type": "team", "children": []},
        "User": {"memberOf": []},
        "Location": {},
        "Template": {"type": "service", "steps": [{"action": "fetch:template"}]},
    }
    version = "scaffolder.backstage.io/v1beta3" if kind == "Template" else "backstage.io/v1alpha1"
    metadata = {"name": "pay", "namespace": "default", **metadata}
    spec = {**specs.get(kind, {}), **(spec or {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def pointers(entity: Any, *, complete: bool) -> list[str]:
    return [pointer for pointer, _ in faults(entity, complete=complete)]


KINDS = ("Component", "API", "Resource", "System", "Domain", "Group", "User", "Location", "Template")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("complete", [True, False])
def test_the_least_whole_entity_of_each_kind_passes(kind, complete):
    assert faults(whole(kind), complete=complete) == []


@pytest.mark.parametrize(
    ("kind", "required"),
    [
        ("Component", ["type", "lifecycle", "owner"]),
        ("API", ["type", "lifecycle", "owner", "definition"]),
        ("Resource", ["type", "owner"]),
        ("System", ["owner"]),
        ("Domain", ["owner"]),
        ("Group", ["type", "children"]),
        ("User", ["memberOf"]),
        ("Template", ["type", "steps"]),
    ],
)
def test_a_whole_entity_needs_what_its_kind_requires_and_a_part_does_not(kind, required):
    for field in required:
        entity = whole(kind)
        del entity["spec"][field]
        assert pointers(entity, complete=True) == [f"/entity/spec/{field}"]
        assert pointers(entity, complete=False) == []


REFUSED_BY_BOTH = [
    ({"name": "a b"}, "name"),
    ({"name": "-a"}, "name"),
    ({"name": "a-"}, "name"),
    ({"name": "a" * 64}, "name"),
    ({"name": "a\n"}, "name"),
    ({"name": None}, "name"),
    ({"name": ""}, "name"),
    ({"name": 1}, "name"),
    ({"name": {"$text": "x"}}, "name"),
    ({"namespace": "Default"}, "namespace"),
    ({"namespace": "a.b"}, "namespace"),
    ({"namespace": None}, "namespace"),
    ({"namespace": ""}, "namespace"),
    ({"title": 5}, "title"),
    ({"description": ["x"]}, "description"),
    ({"description": 0}, "description"),
    ({"description": False}, "description"),
    ({"labels": {"a b": "c"}}, "labels/a b"),
    ({"labels": {"a": "c d"}}, "labels/a"),
    ({"labels": {"a": "c" * 64}}, "labels/a"),
    ({"labels": ["a"]}, "labels"),
    ({"labels": {"$yaml": "labels.yaml"}}, "labels/$yaml"),
    ({"annotations": {"a/b/c": "d"}}, "annotations/a~1b~1c"),
    ({"annotations": {"": "d"}}, "annotations/"),
    ({"annotations": {"UPPER.io/b": "d"}}, "annotations/UPPER.io~1b"),
    ({"annotations": {"a" * 64 + ".io/b": "d"}}, "annotations/" + "a" * 64 + ".io~1b"),
    ({"annotations": {"a": 1}}, "annotations/a"),
    ({"tags": ["Java"]}, "tags/0"),
    ({"tags": ["a", "b c"]}, "tags/1"),
    ({"tags": [""]}, "tags/0"),
    ({"tags": ["a--b"]}, "tags/0"),
    ({"tags": "java"}, "tags"),
    ({"links": {"url": "https://x.io"}}, "links"),
    ({"links": [{"url": "x.io"}]}, "links/0/url"),
    ({"links": [{"url": "https://${{ values.x }}"}]}, "links/0/url"),
    ({"links": ["https://x.io"]}, "links/0"),
    ({"links": [{"url": "https://x.io", "title": " "}]}, "links/0/title"),
    ({"links": [{"url": "https://x.io", "icon": 3}]}, "links/0/icon"),
    ({"links": [{"url": "https://x.io", "type": 3}]}, "links/0/type"),
]


@pytest.mark.parametrize(("metadata", "at"), REFUSED_BY_BOTH)
@pytest.mark.parametrize("complete", [True, False])
def test_metadata_that_breaks_a_pattern_is_refused_at_its_place(metadata, at, complete):
    assert pointers(whole(**metadata), complete=complete) == [f"/entity/metadata/{at}"]


PASSES_IN_PART_ALONE = [
    {"title": None},
    {"title": ""},
    {"description": None},
    {"labels": None},
    {"labels": {"a": None}},
    {"annotations": None},
    {"annotations": {"a": None}},
    {"tags": None},
    {"tags": [None, "java"]},
    {"links": None},
    {"links": [{}]},
    {"links": [{"title": "x"}]},
    {"links": [{"url": ""}]},
    {"links": [{"url": None}]},
    {"links": [{"url": "https://x.io", "title": ""}]},
    {"links": [None]},
]


@pytest.mark.parametrize("metadata", PASSES_IN_PART_ALONE)
def test_nulls_and_empty_fields_pass_in_a_part_and_not_in_a_whole_entity(metadata):
    assert faults(whole(**metadata), complete=False) == []
    assert faults(whole(**metadata), complete=True) != []


PASSES_ALWAYS = [
    {"name": "a--b"},
    {"name": "a._b"},
    {"namespace": "a--b"},
    {"description": ""},
    {"labels": {"a.b-c/D_e": ""}},
    {"annotations": {"a": "", "x.io/B.c": "any text\n"}},
    {"annotations": {"a": {"$text": "./x.txt"}}},
    {"title": {"$text": "./x.txt"}},
    {"tags": []},
    {"tags": ["c++", "a:b", "c#", "a-b"]},
    {"links": [{"url": "mailto:a@b.c", "title": "x", "icon": "y", "type": "z", "more": 1}]},
    {"foreign": None, "more": {"a": [1]}},
]


@pytest.mark.parametrize("metadata", PASSES_ALWAYS)
@pytest.mark.parametrize("complete", [True, False])
def test_metadata_within_the_rules_passes(metadata, complete):
    assert faults(whole(**metadata), complete=complete) == []


@pytest.mark.parametrize("field", ["type", "lifecycle", "owner", "system", "subcomponentOf"])
@pytest.mark.parametrize(
    ("value", "in_part", "in_whole"),
    [
        (None, True, False),
        ("", True, False),
        ([], True, False),
        (1, False, False),
        (0, False, False),
        (False, False, False),
        (["x"], False, False),
        ({"a": 1}, False, False),
        ({"$text": "x"}, True, True),
        ({"$text": "x", "a": 1}, False, False),
        ({"$anything": 1}, True, True),
    ],
)
def test_a_text_of_a_spec_is_a_text_or_a_placeholder(field, value, in_part, in_whole):
    entity = whole(spec={field: value})
    assert (faults(entity, complete=False) == []) is in_part
    assert (faults(entity, complete=True) == []) is in_whole


@pytest.mark.parametrize(
    ("value", "in_part", "in_whole"),
    [
        (["a", "b"], True, True),
        ([], True, True),
        (None, True, False),
        ("", True, False),
        ({}, True, False),
        ("a", False, False),
        ([""], False, False),
        ([1], False, False),
        ([None], True, False),
        ([{"$text": "x"}], True, True),
        ({"$yaml": "./x.yaml"}, True, True),
        ({"$json": "./x.json"}, True, True),
        ({"$text": "./x.txt"}, False, False),
    ],
)
def test_a_list_of_a_spec_is_a_list_of_texts_or_an_include(value, in_part, in_whole):
    entity = whole(spec={"dependsOn": value})
    assert (faults(entity, complete=False) == []) is in_part
    assert (faults(entity, complete=True) == []) is in_whole


@pytest.mark.parametrize(
    ("placeholder", "in_whole"),
    [("$text", True), ("$openapi", True), ("$asyncapi", True), ("$other", True), ("$json", False), ("$yaml", False)],
)
def test_a_definition_is_a_text_in_the_end(placeholder, in_whole):
    entity = whole("API", {"definition": {placeholder: "./api"}})
    assert faults(entity, complete=False) == []
    assert (faults(entity, complete=True) == []) is in_whole


@pytest.mark.parametrize(
    ("kind", "spec", "at"),
    [
        ("Group", {"profile": {"email": 1}}, "profile/email"),
        ("Group", {"profile": "x"}, "profile"),
        ("Group", {"members": "x"}, "members"),
        ("User", {"memberOf": [1]}, "memberOf/0"),
        ("Location", {"presence": "maybe"}, "presence"),
        ("Location", {"targets": "x"}, "targets"),
        ("Template", {"steps": [{"action": "a", "id": 7}]}, "steps/0/id"),
        ("Template", {"steps": [{"action": "a", "if": 7}]}, "steps/0/if"),
        ("Template", {"steps": [{"action": "a", "input": "x"}]}, "steps/0/input"),
        ("Template", {"steps": "x"}, "steps"),
        ("Template", {"parameters": "x"}, "parameters"),
        ("Template", {"parameters": ["x"]}, "parameters/0"),
        ("Template", {"output": {"remoteUrl": 1}}, "output/remoteUrl"),
        ("Template", {"output": {"links": [{"url": 1}]}}, "output/links/0/url"),
        (
            "Template",
            {"parameters": {"backstage:permissions": {"tags": [1]}}},
            "parameters/backstage:permissions/tags/0",
        ),
    ],
)
@pytest.mark.parametrize("complete", [True, False])
def test_a_field_of_a_spec_that_has_the_wrong_type_is_refused_at_its_place(kind, spec, at, complete):
    assert pointers(whole(kind, spec), complete=complete) == [f"/entity/spec/{at}"]


def test_a_step_needs_an_action_in_a_whole_template_alone():
    entity = whole("Template", {"steps": [{"id": "a", "if": True}]})
    assert pointers(entity, complete=True) == ["/entity/spec/steps/0/action"]
    assert pointers(entity, complete=False) == []


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("kind", ["component", "COMPONENT", "Api", "template"])
def test_a_known_kind_in_another_case_is_refused_with_the_remedy(kind, complete):
    found = faults(whole() | {"kind": kind}, complete=complete)
    assert [pointer for pointer, _ in found] == ["/entity/kind"]
    assert any(known in found[0][1] for known in KINDS)


def test_an_unknown_kind_passes_in_part_with_any_spec():
    entity = whole("Dashboard", {"type": 1, "owner": [None]})
    assert faults(entity, complete=False) == []
    assert pointers(entity, complete=True) == ["/entity/kind"]
    assert pointers(entity | {"spec": "x"}, complete=False) == ["/entity/spec"]


@pytest.mark.parametrize("kind", ["1a", "a-b", "a" * 64, "", None, 5, ["Component"]])
@pytest.mark.parametrize("complete", [True, False])
def test_a_kind_follows_its_pattern(kind, complete):
    assert "/entity/kind" in pointers(whole() | {"kind": kind}, complete=complete)


@pytest.mark.parametrize(
    ("version", "in_part", "in_whole"),
    [
        ("backstage.io/v1alpha1", True, True),
        ("backstage.io/v1beta1", True, True),
        ("backstage.io/v1beta2", True, False),
        ("v1", True, False),
        ("acme.com/v1", True, False),
        ("acme.com/v1.0", False, False),
        ("Acme/v1", False, False),
        ("a/b/c", False, False),
        ("/v1", False, False),
        ("v" * 64, False, False),
        ("", False, False),
        (None, False, False),
        (1, False, False),
    ],
)
def test_an_api_version_follows_its_pattern_and_a_whole_entity_that_of_its_kind(version, in_part, in_whole):
    entity = whole() | {"apiVersion": version}
    assert (pointers(entity, complete=False) == []) is in_part
    assert (pointers(entity, complete=True) == []) is in_whole


@pytest.mark.parametrize("complete", [True, False])
def test_foreign_root_fields_are_refused_without_their_text_in_the_sentence(complete):
    found = faults(whole() | {"s/ecret": 1}, complete=complete)
    assert [pointer for pointer, _ in found] == ["/entity/s~1ecret"]
    assert "ecret" not in found[0][1]


@pytest.mark.parametrize(("spec", "in_part"), [(None, True), ("", True), ([], True), ("x", False), ([1], False)])
def test_a_spec_is_an_object(spec, in_part):
    entity = whole() | {"spec": spec}
    assert pointers(entity, complete=False) == ([] if in_part else ["/entity/spec"])
    assert pointers(entity, complete=True) == ["/entity/spec"]


def test_a_spec_is_required_of_a_whole_entity():
    entity = whole("Location")
    del entity["spec"]
    assert pointers(entity, complete=True) == ["/entity/spec"]
    assert pointers(entity, complete=False) == []


@pytest.mark.parametrize("entity", [None, [], "x", 1, True, 1.5])
def test_what_is_no_object_is_no_entity(entity):
    assert pointers(entity, complete=False) == ["/entity"]


def test_every_fault_is_listed():
    found = pointers({"kind": "component", "metadata": {"tags": ["A"]}, "x": 1}, complete=True)
    assert sorted(found) == ["/entity/apiVersion", "/entity/metadata/name", "/entity/metadata/tags/0", "/entity/x"]


def test_received_drops_what_backstage_itself_says_and_sets_the_namespace():
    entity = whole(uid="u", etag="e", generation=1, annotations={"backstage.io/orphan": "true", "a": "b"})
    entity |= {"relations": [], "status": {}}
    del entity["metadata"]["namespace"]
    before = copy.deepcopy(entity)
    assert received(entity) == whole(annotations={"a": "b"})
    assert entity == before


def test_received_keeps_a_null_namespace_to_be_refused():
    entity = received(whole(namespace=None))
    assert pointers(entity, complete=False) == ["/entity/metadata/namespace"]


@pytest.mark.parametrize("metadata", [None, "x", 1, [], ["name"]])
def test_received_leaves_metadata_of_a_wrong_type_to_be_refused(metadata):
    entity = received({"apiVersion": "v1", "kind": "Thing", "metadata": metadata})
    assert entity["metadata"] == metadata
    assert faults(entity, complete=False) != []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "spec", "kind", "name", "tags", "links", "url", "$text", "$yaml", "steps", "output", "if"]
            )
            | st.text(),
            inner,
        )
    ),
)


@given(
    json_values,
    st.sampled_from([*KINDS, "Other"]),
    json_values,
    st.dictionaries(st.sampled_from(["annotations", "labels", "links", "tags", "name", "title"]), json_values),
)
def test_no_json_value_makes_the_rules_raise(anything, kind, spec, metadata):
    for entity in (anything, whole(kind) | {"spec": spec}, whole(**metadata), {"metadata": anything}):
        kept = received(entity) if isinstance(entity, dict) else entity
        for complete in (True, False):
            assert isinstance(faults(kept, complete=complete), list)


@given(st.text(st.characters(categories=["Lu", "Lo"]), min_size=8))
def test_no_sentence_repeats_the_payload(text):
    entity = whole(title=1, tags=[text + "!"], name=text + "!") | {"kind": text + "!", text: 1}
    assert not any(text in sentence for _, sentence in faults(entity, complete=True))
