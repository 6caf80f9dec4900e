"""What a connector's configuration says about its mapping and its requests, as the sources need it."""

from mainstem.config import Config
from mainstem.configuration.connector import ConnectorConfig
from schemas.errors import ConfigError
from sources.base import Retry
from sources.expressions import compiled
from sources.mapping import MappingSettings, Rule


def mapping_settings(connector: ConnectorConfig) -> MappingSettings:
    return MappingSettings(
        connector=connector.connector_id,
        entity_types=connector.entity_types,
        filters=connector.filters,
        field_mapping=connector.field_mapping,
        upstream=connector.dependency_extraction.upstream,
        downstream=connector.dependency_extraction.downstream,
        rules=tuple(Rule(expression=each.rule, message=each.message) for each in connector.validation),
    )


def retry_of(connector: ConnectorConfig) -> Retry:
    retry = connector.retry
    return Retry(
        attempts=retry.attempts,
        backoff_seconds=tuple(pause.total_seconds() for pause in retry.backoff),
        on=frozenset(retry.on),
    )


def check_expressions(config: Config) -> None:
    """Raise ConfigError with every expression of a connector that cannot be used: file, key, and where in it."""
    faults = []
    for connector in config.connectors:
        for key, expression in mapping_settings(connector).expressions():
            try:
                compiled(expression, place=config.origin.place(connector.connector_id, key))
            except ConfigError as error:
                faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
