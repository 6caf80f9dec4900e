"""What tells one policy from another."""

from dataclasses import replace

import pytest

from streams.base import Outcome, Strategy
from streams.policy import ConnectorPolicy, Policy
from streams.rules import Rule


class Strongest(Strategy):
    def decide(self, claims):
        return Outcome(claims[0].value, claims[0].connector) if claims else None


class Latest(Strongest):
    looks_at_time = True


class Revised(Strongest):
    version = 2


def rule(*, path="/spec/owner", kinds=None, name="strongest", strategy=Strongest, **options):
    return Rule(path=path, kinds=kinds, name=name, strategy=strategy(options))


POLICY = Policy(connectors={"git": ConnectorPolicy(priority=5)}, rules=(rule(), rule(path="/spec/type")))


def test_every_policy_under_which_records_may_merge_differently_has_a_fingerprint_of_its_own():
    git = POLICY.connectors["git"]
    policies = [
        POLICY,
        Policy(),
        replace(POLICY, connectors={}),
        replace(POLICY, connectors={"cmdb": git}),
        replace(POLICY, connectors={"git": replace(git, priority=6)}),
        replace(POLICY, connectors={"git": replace(git, ttl=60)}),
        replace(POLICY, connectors={"git": replace(git, grace=60)}),
        replace(POLICY, connectors={"git": replace(git, max_stale=60)}),
        replace(POLICY, connectors={"git": replace(git, asserts_existence=False)}),
        replace(POLICY, rules=()),
        replace(POLICY, rules=(rule(),)),
        replace(POLICY, rules=(rule(kinds=frozenset({"api"})),)),
        replace(POLICY, rules=(rule(kinds=frozenset({"api", "group"})),)),
        replace(POLICY, rules=(rule(name="other"),)),
        replace(POLICY, rules=(rule(strategy=Revised),)),
        replace(POLICY, rules=(rule(values=["a"]),)),
        replace(POLICY, rules=(rule(values=["b"]),)),
    ]

    assert len({policy.fingerprint for policy in policies}) == len(policies)


@pytest.mark.parametrize(
    "same",
    [
        replace(POLICY, revision=7),
        replace(POLICY, outages={"git": ((0, 1),)}),
        replace(POLICY, rules=(rule(path="/spec/type"), rule())),
        replace(POLICY, connectors={"git": replace(POLICY.connectors["git"], is_complete=True, tenant="acme")}),
        replace(POLICY, connectors={**POLICY.connectors, "external": ConnectorPolicy(grace=0.0, max_stale=86_400.0)}),
    ],
    ids=["revision", "outages", "order of rules", "what no merge asks", "a connector as if it were not configured"],
)
def test_what_changes_no_merge_changes_no_fingerprint(same):
    assert same.fingerprint == POLICY.fingerprint


def test_a_policy_looks_at_time_when_a_rule_does():
    found = [Policy(rules=rules).looks_at_time for rules in ((), (rule(),), (rule(), rule(strategy=Latest)))]

    assert found == [False, False, True]
