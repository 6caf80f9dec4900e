"""The merge policy that the configuration asks for."""

from datetime import timedelta

from mainstem.config import Config
from mainstem.configuration.connector import ConnectorConfig
from mainstem.configuration.rules import MergeRule
from schemas.errors import ConfigError
from schemas.records import NEVER
from streams import registry
from streams.policy import ConnectorPolicy, Policy
from streams.rules import Rule


def policy_of(config: Config) -> Policy:
    """Raises ConfigError with every rule whose strategy is not installed or cannot use its options."""
    return Policy(
        connectors={each.connector_id: _connector(each) for each in config.connectors},
        rules=_rules(config),
        revision=config.merge.revision,
    )


def _rules(config: Config) -> tuple[Rule, ...]:
    rules, faults = [], []
    for number, each in enumerate(config.merge.rules):
        try:
            rules.append(rule_of(each))
        except ConfigError as error:
            faults.append(f"{config.origin.file}: merge.rules[{number}]: {error}")
    if faults:
        raise ConfigError("\n".join(faults))
    return tuple(rules)


def rule_of(configured: MergeRule) -> Rule:
    """Raises ConfigError when its strategy is not installed or cannot use its options."""
    strategy = registry.create(configured.strategy, configured.options)
    kinds = None if configured.kinds is None else frozenset(configured.kinds)
    return Rule(path=configured.path, name=configured.strategy, strategy=strategy, kinds=kinds)


def _connector(connector: ConnectorConfig) -> ConnectorPolicy:
    return ConnectorPolicy(
        tenant=connector.tenant,
        priority=connector.priority,
        ttl=_seconds(connector.ttl),
        grace=connector.grace.total_seconds(),
        max_stale=connector.max_stale.total_seconds(),
        asserts_existence=connector.asserts_existence,
        is_complete=connector.is_complete,
    )


def _seconds(duration: timedelta | None) -> float:
    return NEVER if duration is None else duration.total_seconds()
