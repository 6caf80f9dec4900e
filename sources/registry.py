"""The types of connectors that are installed: entry points of the group `mainstem.sources`."""

from importlib.metadata import entry_points
from typing import Final

from schemas.errors import ConfigError
from sources.base import Source

GROUP: Final = "mainstem.sources"


def installed() -> list[str]:
    """Return the names of all installed types, sorted."""
    return sorted(entry.name for entry in entry_points(group=GROUP))


def source_class(type_name: str) -> type[Source]:
    """Raises ConfigError when no package provides the type, or what it provides is no source."""
    for entry in entry_points(group=GROUP):
        if entry.name == type_name:
            found = entry.load()
            if isinstance(found, type) and issubclass(found, Source):
                return found
            raise ConfigError(f"type {type_name}: {entry.value} is no subclass of sources.base.Source")
    raise ConfigError(f"type {type_name} is not installed; installed are {', '.join(installed())}")
