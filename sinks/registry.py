"""Which sinks are installed: entry points of the group `mainstem.sinks`."""

from typing import Final

from schemas import plugins
from sinks.base import Sink, SinkSettings

GROUP: Final = "mainstem.sinks"


def installed() -> list[str]:
    """Return the names of all sinks that `mainstem sinks run` can run."""
    return plugins.installed(GROUP)


def create(settings: SinkSettings) -> Sink:
    """Return the sink that *settings* name. Raises ConfigError that lists what is installed."""
    return plugins.find(GROUP, settings.name, Sink)(settings)  # type: ignore[type-abstract]
