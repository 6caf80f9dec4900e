"""An entity in the canonical model."""

import uuid

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.base import DEFAULT_SERVICE_KINDS
from sinks.postgres.model import id_of, model_of

PAY = "component:default/pay"


def row(ref=PAY, *, metadata=None, spec=None, service=None, provenance=None):
    entity = {"kind": "Component", "metadata": {"name": "Pay", "namespace": "default", **(metadata or {})}}
    texts = {"entity": {**entity, "spec": spec or {}}, "service": service or {}, "provenance": provenance or {}}
    return {
        "tenant": "default",
        "entity_ref": ref,
        **{name: orjson.dumps(each).decode() for name, each in texts.items()},
    }


def model(*given, **more):
    return model_of(row(*given, **more), DEFAULT_SERVICE_KINDS)


@given(st.text("abc|é:/", max_size=9), st.text(max_size=9).filter(lambda text: text.isprintable()))
def test_an_id_is_that_of_the_contract(tenant, ref):
    assert id_of(tenant, ref, "x") == str(uuid.uuid5(uuid.NAMESPACE_URL, f"mainstem:{tenant}|{ref}|x"))


def test_what_facts_say_comes_first():
    facts = {"name": "Payments", "description": "f", "ownerTeam": "Team-Pay", "lifecycle": "retired", "tier": "tier1"}
    said = model(metadata={"description": "e"}, spec={"owner": "others", "lifecycle": "production"}, service=facts)
    found = {name: said.service[name] for name in ("name", "description", "owner_ref", "lifecycle", "tier")}
    owner = {"owner_ref": "group:default/team-pay", "lifecycle": "retired", "tier": "tier1"}
    assert found == {"name": "Payments", "description": "f", **owner}


def test_what_no_fact_says_is_taken_from_the_entity():
    said = model(metadata={"description": "e", "tags": ["a"]}, spec={"owner": "user:guests/jane", "lifecycle": "beta"})
    found = {name: said.service[name] for name in ("name", "description", "owner_ref", "lifecycle", "tier", "tags")}
    owner = {"owner_ref": "user:guests/jane", "lifecycle": "beta", "tier": None, "tags": ["a"]}
    assert found == {"name": "Pay", "description": "e", **owner}


def test_an_owner_that_is_no_reference_is_kept_as_it_is_written():
    service = model(service={"ownerTeam": "Payments (us)"}).service
    assert (service["owner_ref"], service["owner_id"]) == ("Payments (us)", None)


def test_dependencies_of_facts_and_entity_are_joined_by_target():
    facts = {"dependencies": [{"target": "Ledger", "type": "data"}, {"target": "Stripe Gateway", "isCritical": True}]}
    spec = {"dependsOn": ["component:default/ledger", "resource:db"]}
    won = {"/service/dependencies": ["cmdb", "git"], "/spec/dependsOn": ["git"], "/metadata/name": "hub"}
    found = model(spec=spec, service=facts, provenance=won).service["dependencies"]
    names = ("target_ref", "dependency_type", "is_critical", "source")
    assert [tuple(each[name] for name in names) for each in found] == [
        ("component:default/ledger", "data", False, "cmdb"),
        ("stripe gateway", "runtime", True, "cmdb"),
        ("resource:default/db", "runtime", False, "git"),
    ]


def test_a_dependency_is_critical_if_either_spelling_says_so():
    facts = {"dependencies": [{"target": "ledger"}, {"target": "component:ledger", "isCritical": True}]}
    found = model(service=facts).service["dependencies"]
    assert [(each["target_ref"], each["is_critical"]) for each in found] == [("component:default/ledger", True)]


def test_runbooks_are_those_of_the_facts_then_links_of_that_type_each_address_once():
    links = [
        {"url": "u", "type": "runbook"},
        {"url": "v", "type": "Runbook", "title": "V"},
        {"url": "w", "type": "docs"},
    ]
    said = model(metadata={"links": links}, service={"runbooks": [{"url": "u", "title": "U", "type": "incident"}]})
    found = [(each["position"], each["title"], each["url"], each["runbook_type"]) for each in said.service["runbooks"]]
    assert found == [(0, "U", "u", "incident"), (1, "V", "v", None)]


def test_a_group_is_a_team():
    spec = {"profile": {"displayName": "Payments Team", "email": "pay@acme.com"}, "members": ["jane"], "parent": "tech"}
    said = model("group:default/team-pay", spec=spec, service={"slackChannel": "#pay"})
    names = ("name", "email", "slack_channel", "members")
    assert [said.team[name] for name in names] == [
        "Payments Team",
        "pay@acme.com",
        "#pay",
        [id_of("default", "user:default/jane")],
    ]
    assert said.service is None


def test_relations_are_those_that_backstage_derives():
    spec = {"owner": "team-pay", "system": "money", "providesApis": ["pay-api"], "dependsOn": ["component:x"]}
    assert {(each.type, each.target_ref, each.inverse) for each in model(spec=spec).relations} == {
        ("ownedBy", "group:default/team-pay", "ownerOf"),
        ("partOf", "system:default/money", "hasPart"),
        ("providesApi", "api:default/pay-api", "apiProvidedBy"),
    }
    user = model("user:default/jane", spec={"memberOf": ["team-pay", "group:ops/on-call"]})
    assert [each.target_ref for each in user.relations] == ["group:default/team-pay", "group:ops/on-call"]


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("a:/ ", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["target", "url", "type"]), inner),
    max_leaves=5,
)
FIELDS = ["name", "ownerTeam", "dependencies", "runbooks", "tier"]


@given(
    st.dictionaries(st.sampled_from(FIELDS), ODD),
    st.dictionaries(st.sampled_from(["owner", "dependsOn", "members", "profile"]), ODD),
    st.dictionaries(st.sampled_from(["name", "tags", "links"]), ODD),
    st.sampled_from([PAY, "group:default/team", "user:default/jane"]),
)
def test_no_content_is_too_odd(facts, spec, metadata, ref):
    said = model(ref, metadata=metadata, spec=spec, service=facts)
    assert (said.service is not None, said.team is not None) == (ref == PAY, ref.startswith("group"))


@pytest.mark.parametrize("text", ['{"a": 1e999}', "[]", "null", "{"])
def test_what_is_no_json_object_says_nothing(text):
    assert model_of({**row(), "entity": text}, DEFAULT_SERVICE_KINDS).relations == []
