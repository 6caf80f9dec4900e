"""What a connector's configuration becomes, what is checked of it at the start, and what is only doubted."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from mainstem.configuration.connector import RetryConfig
from mainstem.connector_settings import check_expressions, mapping_settings, retry_of
from mainstem.installation import Installation
from schemas.errors import ConfigError, ValidationError
from sources.base import RETRIED, Retry
from sources.mapping import Mapper

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "service-catalog-connector.md"
OURS = """
connector_id: backstage-prod
type: backstage
entity_types: [component, system, api, resource]
field_mapping:
  name: "metadata.name"
  description: "metadata.description"
  owner_team: "spec.owner"
  tier: "metadata.annotations['acme.com/tier']"
  lifecycle: "spec.lifecycle"
dependency_extraction:
  upstream: "spec.dependsOn"
  downstream: "relations[?type=='dependencyOf'].targetRef"
filters:
  - "spec.lifecycle != 'deprecated'"
  - "metadata.annotations['acme.com/pdlite-enabled'] == 'true'"
"""


def as_given():
    if not REFERENCE.exists():
        pytest.skip("the reference is not part of this checkout")
    return re.search(r"```yaml\n(connector_id:.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)[1]


@pytest.fixture(params=[lambda: OURS, as_given], ids=["ours", "as given"])
def mapper(request, read):
    return Mapper(mapping_settings(read(connectors={"backstage.yaml": request.param()}).connectors[0]))


def entity(kind="Component", *, enabled="true", lifecycle="production"):
    annotations = {"acme.com/tier": "tier1", "acme.com/pdlite-enabled": enabled}
    return {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "pay", "description": "Takes the money", "annotations": annotations},
        "spec": {"owner": "team-pay", "lifecycle": lifecycle, "dependsOn": ["resource:default/db"]},
        "relations": [{"type": "dependencyOf", "targetRef": "component:default/shop"}],
    }


def test_the_connector_file_of_the_reference_maps_as_it_says(mapper):
    answer = mapper.map({"entity": entity()})
    facts = {
        "name": "pay",
        "description": "Takes the money",
        "ownerTeam": "team-pay",
        "tier": "tier1",
        "lifecycle": "production",
        "dependencies": [{"target": "resource:default/db", "type": "runtime"}],
    }
    assert (answer["service"], answer["entity"]["spec"]["dependencyOf"]) == (facts, ["component:default/shop"])


@pytest.mark.parametrize(
    "left_out", [entity("Group"), entity(lifecycle="deprecated"), entity(enabled="false"), {"kind": "Component"}]
)
def test_the_connector_file_of_the_reference_leaves_out_what_it_says(mapper, left_out):
    assert mapper.map({"entity": left_out}) is None


def connector(read, text):
    return read(f"connectors: [{{connector_id: a, type: git, {text}}}]").connectors[0]


def test_a_rule_of_the_configuration_is_told_in_its_words(read):
    text = "validation: [{rule: \"metadata.annotations['acme.com/tier']\", message: Give it a tier.}]"
    with pytest.raises(ValidationError, match=r"Give it a tier\."):
        Mapper(mapping_settings(connector(read, text))).map({"entity": {"kind": "Component"}})


def test_the_retry_of_a_connector_that_says_none_is_the_default_of_sources(read):
    assert retry_of(connector(read, "priority: 1")) == Retry()


def test_the_retry_of_a_connector_is_what_it_says(read):
    retry = retry_of(connector(read, "retry: {attempts: 5, backoff: [2s, 1m], on: [rate_limit]}"))
    assert retry == Retry(attempts=5, backoff_seconds=(2.0, 60.0), on=frozenset({"rate_limit"}))


def test_every_error_that_a_source_can_retry_can_be_configured():
    assert set(get_args(get_args(RetryConfig.model_fields["on"].annotation)[0])) == RETRIED


def test_faulty_expressions_are_told_at_once_with_file_and_key(read):
    config = read(
        "connectors: [{connector_id: a, type: git, filters: [spec, 'spec.a b']},"
        " {connector_id: b, type: git, validation: [{rule: lower(kind), message: x}]}]",
        connectors={"c.yaml": "connector_id: c\ntype: git\nfield_mapping: {tier: spec.my-tier}"},
    )
    with pytest.raises(ConfigError) as caught:
        check_expressions(config)
    expected = [
        "mainstem.yaml: connectors[0].filters[1]: character 8 of the expression is not expected there",
        "mainstem.yaml: connectors[1].validation[0].rule: there is no function lower()",
        "connectors.d/c.yaml: field_mapping.tier: character 8 of the expression cannot be read",
    ]
    assert expected == [line.partition(";")[0] for line in str(caught.value).splitlines()]


def test_the_installation_checks_expressions_with_everything_else(read, tmp_path):
    config = read("connectors: [{connector_id: a, type: git, filters: ['(']}]")
    installation = Installation(config=config, data_dir=tmp_path, running=None)
    with pytest.raises(ConfigError, match=r"connectors\[0\]\.filters\[0\]: the expression ends where more is expected"):
        installation.check_plugins()


def test_a_mapping_that_can_be_used_is_supported(read, tmp_path):
    config = read("connectors: [{connector_id: a, type: git, entity_types: [component], filters: [spec]}]")
    Installation(config=config, data_dir=tmp_path, running=None).check_plugins()
    assert config.warnings == ()


def test_a_kind_that_is_nearly_one_of_backstage_s_is_doubted_and_any_other_is_not(read):
    config = read(
        "connectors: [{connector_id: a, type: git,"
        " entity_types: [Component, componet, product, apis, template, usre]}]\n"
        "merge: {rules: [{path: /spec/owner, strategy: drop, kinds: [sytem]}]}"
    )
    expected = (
        "mainstem.yaml: connectors[0].entity_types[1]: Backstage has no kind componet; did you mean component?",
        "mainstem.yaml: connectors[0].entity_types[3]: Backstage has no kind apis; did you mean api?",
        "mainstem.yaml: connectors[0].entity_types[5]: Backstage has no kind usre; did you mean user?",
        "mainstem.yaml: merge.rules[0].kinds[0]: Backstage has no kind sytem; did you mean system?",
    )
    assert expected == config.warnings


def test_a_fact_that_is_nearly_a_known_one_is_doubted_and_any_other_is_not(read):
    mapping = "{oncall: a, owner_team: a, name: a, cost_centre: a, runbooks: a, runbook: a, slack_chanel: a}"
    config = read(f"connectors: [{{connector_id: a, type: git, field_mapping: {mapping}}}]")
    told = "becomes a key of service of your own; did you mean"
    place = "mainstem.yaml: connectors[0].field_mapping"
    assert config.warnings == (f"{place}.oncall: {told} on_call?", f"{place}.slack_chanel: {told} slack_channel?")


def test_a_fact_of_documents_that_is_nearly_a_known_one_is_doubted(read):
    rules = [{}, {"service": {"oncall": "a", "onCall": {"userid": "a"}, "slack_channel": "a", "x": "a"}}, "a"]
    config = read(f"connectors: [{{connector_id: a, type: git, connection: {{documents: {json.dumps(rules)}}}}}]")
    told = "becomes a key of service of your own; did you mean"
    place = "mainstem.yaml: connectors[0].connection.documents[1].service"
    assert config.warnings == (
        f"{place}.slack_channel: {told} slackChannel?",
        f"{place}.onCall.userid: {told} userId?",
    )


def test_what_no_run_will_act_on_is_doubted(read):
    stated = "connector_id: a\ntype: external\nfilters: [spec]\nttl: 1h\nconnection: {path: .}\n"
    config = read("", connectors={"a.yaml": stated})
    sentence = "without effect, as others publish this connector's changes"
    told = [f"connectors.d/a.yaml: {key}: {sentence}" for key in ("connection", "filters")]
    assert list(config.warnings) == told
