"""The merge policy that the configuration asks for."""

from datetime import timedelta

from mainstem.config import Config
from mainstem.configuration.connector import ConnectorConfig
from schemas.records import NEVER
from streams.policy import ConnectorPolicy, Policy


def policy_of(config: Config) -> Policy:
    return Policy(connectors={each.connector_id: _connector(each) for each in config.connectors})


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
