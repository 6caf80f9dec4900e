"""The connectors of the configuration, as those need them who steer."""

from mainstem.config import Config
from mainstem.configuration.connector import ConnectorConfig
from schemas.errors import ConfigError
from sources.registry import source_class
from sources.steering import Configured


def configured(config: Config) -> tuple[Configured, ...]:
    """Return every connector. A type that is not installed here is taken for one that runs: others may have it."""
    trees = [each for each in config.connectors if each.type == "git"]
    remote = {each.connector_id for each in trees if "url" in each.connection}
    # Where every tree is a local one, they are what is central.
    central = remote or {each.connector_id for each in trees}
    return tuple(
        Configured(
            id=each.connector_id,
            type=each.type,
            tenant=each.tenant,
            enabled=each.enabled,
            runs_here=_runs_here(each),
            is_central=each.connector_id in central,
        )
        for each in config.connectors
    )


def _runs_here(connector: ConnectorConfig) -> bool:
    try:
        return source_class(connector.type).runs_here
    except ConfigError:
        return True
