"""The types of connectors that are installed: entry points of the group `mainstem.sources`."""

from typing import Final

from schemas import plugins
from sources.base import Source

GROUP: Final = "mainstem.sources"


def installed() -> list[str]:
    """Return the names of all installed types, sorted."""
    return plugins.installed(GROUP)


def source_class(type_name: str) -> type[Source]:
    """Raises ConfigError when no package provides the type, or what it provides is no source."""
    return plugins.find(GROUP, type_name, Source)  # type: ignore[type-abstract]
