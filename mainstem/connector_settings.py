"""A connector's configuration, as its source and its mapping take it."""

from mainstem.configuration.connector import ConnectorConfig
from sources.base import Retry
from sources.mapping import MappingSettings


def mapping_settings(config: ConnectorConfig) -> MappingSettings:
    return MappingSettings(connector=config.connector_id)


def retry_of(config: ConnectorConfig) -> Retry:
    del config
    return Retry()
