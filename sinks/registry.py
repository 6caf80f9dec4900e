"""Which sinks are installed: entry points of the group `mainstem.sinks`."""

from importlib.metadata import entry_points
from typing import Final

from schemas.errors import ConfigError
from sinks.base import Sink, SinkSettings

GROUP: Final = "mainstem.sinks"


def installed() -> list[str]:
    """Return the names of all sinks that `mainstem sinks run` can run."""
    return sorted(entry_points(group=GROUP).names)


def find(name: str) -> type[Sink]:
    """Return the class registered as *name*. Raises ConfigError that lists what is installed."""
    found = tuple(entry_points(group=GROUP, name=name))
    if not found:
        raise ConfigError(f"there is no sink {name}; installed are: {', '.join(installed()) or 'none'}")
    if len(found) > 1:
        owners = ", ".join(sorted(point.value for point in found))
        raise ConfigError(f"several packages register a sink {name}: {owners}; uninstall all but one")
    try:
        sink = found[0].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the sink {name} ({found[0].value}) cannot be imported: {error}") from error
    if not (isinstance(sink, type) and issubclass(sink, Sink)):
        raise ConfigError(f"the sink {name} ({found[0].value}) is no subclass of sinks.base.Sink")
    return sink


def create(settings: SinkSettings) -> Sink:
    """Return the sink that *settings* name."""
    return find(settings.name)(settings)
