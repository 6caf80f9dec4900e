"""From `merge.rules` to strategies that are installed."""

import pytest

from mainstem.policies import policy_of
from schemas.errors import ConfigError


def rules(*texts):
    return f"merge: {{revision: 3, rules: [{', '.join(texts)}]}}"


def test_rules_become_strategies_with_their_options(read):
    policy = policy_of(
        read(
            rules(
                "{kinds: [Component], path: /spec/owner, strategy: authoritative, connector: git}",
                "{path: /service/tier, strategy: rank, values: [a, 1]}",
                "{path: /spec/system, strategy: coupled, pointers: [/spec/domain]}",
                "{path: /metadata/links, strategy: union_by_key, key: title}",
            )
        )
    )

    found = [(rule.kinds, rule.paths, rule.name, rule.strategy.options) for rule in policy.rules]
    assert found == [
        (frozenset({"component"}), ("/spec/owner",), "authoritative", {"connector": "git"}),
        (None, ("/service/tier",), "rank", {"values": ["a", 1]}),
        (None, ("/spec/system", "/spec/domain"), "coupled", {"pointers": ["/spec/domain"]}),
        (None, ("/metadata/links",), "union_by_key", {"key": "title"}),
    ]
    assert policy.revision == 3


def test_a_rule_for_one_kind_stands_beside_one_for_every_kind(read):
    policy = policy_of(read(rules("{path: /spec/a, strategy: min}", "{path: /spec/a, strategy: max, kinds: [api]}")))

    found = [policy.plan(kind).rule_at(("spec", "a")).name for kind in ("component", "api")]
    assert found == ["min", "max"]


def test_every_strategy_that_is_not_installed_is_told_with_those_that_are(read):
    config = read(rules("{path: /spec/a, strategy: newest, days: 3}", "{path: /spec/b, strategy: min}"))

    with pytest.raises(ConfigError) as refused:
        policy_of(config)
    assert str(refused.value) == (
        "mainstem.yaml: merge.rules[0]: there is no merge strategy newest; installed are: authoritative, coupled, "
        "deep_merge, drop, first_by_priority, max, min, most_recent, rank, union, union_by_key"
    )


@pytest.mark.parametrize(("connector", "warnings"), [("git", 0), ("override", 0), ("gti", 1)])
def test_an_authority_that_is_not_configured_is_a_warning(read, connector, warnings):
    config = read(
        f"connectors: [{{connector_id: git, type: git}}]\n"
        f"merge: {{rules: [{{path: /spec/owner, strategy: authoritative, connector: {connector}}}]}}"
    )

    expected = "mainstem.yaml: merge.rules[0].connector: no connector gti is configured; did you mean git?"
    assert config.warnings == (expected,) * warnings
