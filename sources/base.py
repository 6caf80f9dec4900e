"""The one class to subclass when a new system should feed the catalogue.

Register the class under the entry-point group `mainstem.sources`; its name there is the `type` of a connector.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

Cursor = Mapping[str, Any]
"""Where a source stands, as JSON: whatever it needs to go on after the page that carried it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """What a source is given: parsed once, never read from the environment."""

    connector: str
    connection: Mapping[str, Any] = field(default_factory=dict)
    """The type's own settings, as written in the configuration."""
    base_dir: Path = Path()
    """The configuration's directory: relative paths begin here."""
    chunk_size: int = 50
    """How many changes a page should hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One change as it would be published, and where it was found (a file and line, an address)."""

    place: str
    change: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Something that is no change, where it was found, and why; the reason holds no text of it."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a source read in one go."""

    items: Sequence[Item] = ()
    refused: Sequence[Refused] = ()
    cursor: Cursor | None = None


class Source(ABC):
    """A system that knows about entities: subclass it and translate.

    The runner owns the rest: the producer, validation, runs and rests, metrics. Raise ConfigError from `__init__`
    for settings that cannot be used.
    """

    runs_here: ClassVar[bool] = True
    """False for a type whose changes others publish: no run is ever started."""

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings

    @abstractmethod
    def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page]:
        """Yield every page after *cursor*, in the source's own order; return once complete.

        *cursor* is that of the last page whose changes Kafka acknowledged, None at the start of a run. A page may be
        asked for twice; it must never be skipped. Returning says "this was everything". Raise if it was not.
        """
