"""What a connector makes of an entity before it is published."""

import copy
import subprocess
import sys

import pytest

from schemas.errors import ConfigError, ValidationError
from sources.mapping import Mapper, MappingSettings, Rule

ENTITY = {
    "apiVersion": "backstage.io/v1alpha1",
    "kind": "Component",
    "metadata": {"name": "Pay", "annotations": {"acme.com/tier": "tier1", "acme.com/rank": 1}},
    "spec": {"type": "service", "lifecycle": "production", "owner": "team-pay", "dependsOn": ["resource:default/db"]},
    "relations": [
        {"type": "dependencyOf", "targetRef": "component:default/shop"},
        {"type": "ownedBy", "targetRef": "group:default/team-pay"},
    ],
}
CHANGE = {"entity": ENTITY}
REFERENCE = MappingSettings(
    connector="backstage-prod",
    entity_types=("component", "system", "api", "resource"),
    filters=("spec.lifecycle != 'deprecated'",),
    field_mapping={
        "name": "metadata.name",
        "owner_team": "spec.owner",
        "tier": "metadata.annotations['acme.com/tier']",
    },
    upstream="spec.dependsOn",
    downstream="relations[?type=='dependencyOf'].targetRef",
)


def mapped(change=None, **settings):
    return Mapper(MappingSettings(connector="git", **settings)).map(CHANGE if change is None else change)


def refusal(change=None, **settings):
    with pytest.raises(ValidationError) as caught:
        mapped(change, **settings)
    return str(caught.value)


def test_the_mapping_of_the_reference_adds_what_it_says():
    expected = {
        "entity": {**ENTITY, "spec": {**ENTITY["spec"], "dependencyOf": ["component:default/shop"]}},
        "service": {
            "name": "Pay",
            "ownerTeam": "team-pay",
            "tier": "tier1",
            "dependencies": [{"target": "resource:default/db", "type": "runtime"}],
        },
    }
    assert expected == Mapper(REFERENCE).map(CHANGE)


def test_the_input_is_never_altered():
    spec = {**ENTITY["spec"], "dependencyOf": ["component:default/till"]}
    change = {"entity": {**ENTITY, "spec": spec}, "service": {"dependencies": [{"target": "x"}]}, "priority": 3}
    before = copy.deepcopy(change)
    Mapper(REFERENCE).map(change)
    assert before == change


def test_what_the_mapping_is_not_about_stays():
    assert mapped({**CHANGE, "priority": 3, "id": "7"}, field_mapping={"tier": "kind"})["priority"] == 3


def test_a_change_that_says_its_op_is_mapped():
    assert mapped({**CHANGE, "op": "upsert"}, field_mapping={"tier": "kind"})["service"] == {"tier": "Component"}


def test_no_mapping_gives_the_change_back():
    assert mapped() is CHANGE


@pytest.mark.parametrize("kinds", [("component",), ("COMPONENT", "api"), ("Component",)])
def test_a_kind_is_taken_in_any_case(kinds):
    assert mapped(entity_types=kinds) == CHANGE


def test_another_kind_is_left_out():
    assert mapped(entity_types=("api", "componet")) is None


@pytest.mark.parametrize("filters", [("spec.owner",), ("spec.owner", "`0`"), ("spec.lifecycle != 'deprecated'",)])
def test_an_entity_of_which_all_filters_are_true_is_taken(filters):
    assert mapped(filters=filters) == CHANGE


@pytest.mark.parametrize("untrue", ["spec.none", "spec.owner == 'x'", "`[]`", "`{}`", "''", "relations[?type=='none']"])
def test_one_filter_that_is_not_true_leaves_the_entity_out(untrue):
    assert mapped(filters=("spec.owner", untrue)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"op": "delete", "entityRef": "component:default/pay"},
        {"op": "outage"},
        {"op": "unknown", "entity": ENTITY},
        {"op": ["upsert"], "entity": ENTITY},
        {},
        {"entity": ["no entity"]},
    ],
)
def test_what_is_no_upsert_passes(change):
    assert mapped(change, entity_types=("api",), filters=("`false`",), field_mapping={"tier": "kind"}) is change


@pytest.mark.parametrize("change", [{"entity": {}}, {"entity": {"kind": 5}, "service": []}, {"entity": {"spec": "x"}}])
def test_what_is_no_entity_is_left_to_whoever_checks_it(change):
    answer = mapped(change, entity_types=("api",), field_mapping={"none": "nothing"}, downstream="'a'")
    assert (answer.get("service"), answer["entity"].get("kind")) == (
        change.get("service"),
        change["entity"].get("kind"),
    )


def test_a_key_in_snake_case_is_the_key_of_service_in_camel_case():
    keys = {"tier": "kind", "owner_team": "kind", "x_y2_z": "kind", "schedule_id": "kind"}
    assert list(mapped(field_mapping=keys)["service"]) == ["tier", "ownerTeam", "xY2Z", "scheduleId"]


@pytest.mark.parametrize("expression", ["spec.none", "''", "spec.none.more[0]"])
def test_what_finds_nothing_leaves_what_the_source_said(expression):
    change = {**CHANGE, "service": {"tier": "tier3"}}
    assert mapped(change, field_mapping={"tier": expression, "email": expression}) == change


def test_what_is_mapped_stands_before_what_the_source_said():
    change = {**CHANGE, "service": {"tier": "tier3", "email": "pay@acme.com"}}
    answer = mapped(change, field_mapping={"tier": "metadata.annotations['acme.com/tier']"})
    assert answer["service"] == {"tier": "tier1", "email": "pay@acme.com"}


def test_what_stands_for_a_text_is_taken_as_one():
    change = {"entity": {"kind": "Component", "metadata": {"description": {"$text": "./README.md"}}}}
    answer = mapped(change, field_mapping={"description": "metadata.description"})
    assert answer["service"] == {"description": {"$text": "./README.md"}}


def test_upstream_joins_what_the_source_and_the_fields_said_by_target():
    said = [{"target": "resource:default/db", "type": "data", "isCritical": True}]
    found = mapped(
        {**CHANGE, "service": {"dependencies": said}}, upstream="[spec.dependsOn, ['a', 'a', '', spec.none]][]"
    )
    assert found["service"]["dependencies"] == [*said, {"target": "a", "type": "runtime"}]


def test_downstream_joins_what_the_entity_says():
    change = {"entity": {**ENTITY, "spec": {"dependencyOf": ["b", "a"]}}}
    assert mapped(change, downstream="['c', 'a']")["entity"]["spec"] == {"dependencyOf": ["b", "a", "c"]}


def test_one_text_is_one_dependency():
    assert mapped(upstream="spec.owner")["service"] == {"dependencies": [{"target": "team-pay", "type": "runtime"}]}


def test_no_dependencies_add_nothing():
    assert mapped(upstream="spec.none", downstream="relations[?type=='none'].targetRef") == CHANGE


def test_an_entity_without_a_spec_gets_one_for_its_dependents():
    assert mapped({"entity": {"kind": "System"}}, downstream="['a']")["entity"]["spec"] == {"dependencyOf": ["a"]}


def test_a_rule_that_does_not_hold_is_told_in_its_own_words_with_the_entity():
    rules = (
        Rule(expression="spec.owner", message="An owner is needed."),
        Rule(expression="starts_with(spec.owner, 'group:')", message="The owner is a group."),
        Rule(expression="metadata.description", message="Describe it."),
    )
    told = "/entity: The owner is a group. (component:default/pay); /entity: Describe it. (component:default/pay)"
    assert told == refusal(rules=rules)


def test_rules_are_about_what_the_filters_let_through():
    assert mapped(filters=("spec.none",), rules=(Rule(expression="`false`", message="no"),)) is None


def test_rules_that_hold_change_nothing():
    assert mapped(rules=(Rule(expression="spec.owner", message="no"),)) == CHANGE


@pytest.mark.parametrize(
    ("settings", "place", "fault"),
    [
        (
            {"field_mapping": {"tier": "metadata.annotations['acme.com/rank']"}},
            "/service/tier: connector git: field_mapping.tier (metadata.annotations['acme.com/rank'])",
            " found a number where a text is needed; to_string() makes one of it",
        ),
        (
            {"field_mapping": {"owner_team": "spec"}},
            "/service/ownerTeam: connector git: field_mapping.owner_team (spec)",
            " found an object where a text is needed",
        ),
        (
            {"field_mapping": {"runbooks": "spec.owner"}},
            "/service/runbooks: connector git: field_mapping.runbooks (spec.owner)",
            " found a text where a list is needed",
        ),
        (
            {"field_mapping": {"score": "to_number('1e999')"}},
            "/service/score: connector git: field_mapping.score (to_number('…'))",
            " found a number that JSON cannot hold",
        ),
        (
            {"upstream": "relations"},
            "/service/dependencies: connector git: dependency_extraction.upstream (relations)",
            " found an object where a text is needed",
        ),
        (
            {"downstream": "[kind, `true`]"},
            "/entity/spec/dependencyOf: connector git: dependency_extraction.downstream ([kind, `true`])",
            " found true or false where a text is needed",
        ),
        (
            {"filters": ["length(spec.none) > `1`"]},
            "/entity: connector git: filters[0] (length(spec.none) > `1`)",
            ": length() takes string or array or object, not null",
        ),
    ],
)
def test_what_cannot_be_used_names_connector_key_expression_and_entity(settings, place, fault):
    assert f"{place}{fault} (component:default/pay)" == refusal(**settings)


@pytest.mark.parametrize("name", [None, "", "no name", 5, "x" * 100, ["pay"]])
def test_a_refusal_repeats_no_name_that_is_none(name):
    change = {"entity": {**ENTITY, "metadata": {"name": name}}}
    assert refusal(change, filters=("abs(kind)",)).endswith(" (an entity without a usable name)")


def test_every_faulty_expression_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        mapped(filters=("a", "a-b"), field_mapping={"tier": "lower(a)"}, rules=(Rule(expression="(", message="x"),))
    places = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert places == ["filters[1]", "validation[0].rule", "field_mapping.tier"]


BASE = {"entity_types": ("api",), "filters": ("a", "b"), "field_mapping": {"tier": "a"}, "upstream": "a"}


def fingerprint(**settings):
    return Mapper(MappingSettings(connector="git", **settings)).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        {"entity_types": None},
        {"entity_types": ("api", "system")},
        {"entity_types": ()},
        {"filters": ("a",)},
        {"field_mapping": {"tier": "b"}},
        {"field_mapping": {"name": "a"}},
        {"upstream": None},
        {"upstream": None, "downstream": "a"},
        {"rules": (Rule(expression="a", message="b"),)},
    ],
)
def test_another_mapping_has_another_fingerprint(other):
    assert fingerprint(**BASE) != fingerprint(**{**BASE, **other})


def test_another_message_is_another_mapping():
    one, other = ((Rule(expression="a", message=message),) for message in "ab")
    assert fingerprint(rules=one) != fingerprint(rules=other)


def test_the_fingerprint_does_not_depend_on_spelling_or_process():
    code = (
        "from sources.mapping import *;"
        "print(Mapper(MappingSettings(connector='b', entity_types=('API','api','system'), filters=('a',),"
        "field_mapping={'x':'a','tier':'b'})).fingerprint)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = fingerprint(entity_types=("system", "Api"), filters=("a",), field_mapping={"tier": "b", "x": "a"})
    assert run.stdout.strip() == ours
