"""The one class to subclass when a new system should feed the catalogue.

Register the class under the entry-point group `mainstem.sources`; its name there is the `type` of a connector.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from schemas.errors import ConfigError

RETRIED: Final = frozenset({"timeout", "connection", "rate_limit", "server_error"})
"""The errors that `retry.on` can name."""

MAX_RETRY_AFTER_SECONDS: Final = 3_600.0
"""No source is left alone for longer, whatever it asks for."""

Cursor = Mapping[str, Any]
"""Where a source stands, as JSON: whatever it needs to go on after the page that carried it."""


def _no_secrets(ref: str) -> str:
    raise ConfigError(f"the secret {ref} cannot be fetched here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often one request is tried again, how long after, and for which errors, before the run fails."""

    attempts: int = 3
    backoff_seconds: tuple[float, ...] = (1.0, 5.0, 30.0)
    """Before the second attempt, the third, and so on; the last counts for all that follow."""
    on: frozenset[str] = RETRIED


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
    retry: Retry = field(default_factory=Retry)
    secret: Callable[[str], str] = _no_secrets
    """Fetches what a `secret_ref` names (`env:NAME`, `file:PATH`), anew at each call. Raises ConfigError."""
    data_dir: Path | None = None
    """Where the source may keep copies between two runs; what is lost there costs time and nothing else."""


class Item(NamedTuple):
    """One change as it would be published, and where it was found (a file and line, an address).

    One of these for every entity of every run.
    """

    place: str
    change: Mapping[str, Any]
    scope: str = ""
    """The part of the source that it lies in, as a path (`acme/payments`): see :attr:`Page.unread`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Something that is no change, where it was found, and why; the reason holds no text of it.

    As nobody knows which entity it was, nothing of its scope is deleted in this run.
    """

    place: str
    reason: str
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a source read in one go."""

    items: Sequence[Item] = ()
    refused: Sequence[Refused] = ()
    cursor: Cursor | None = None
    """Where to go on after this page; None where the run can only begin anew."""
    total: int | None = None
    """How many entities the source says that a whole run brings. A run that saw fewer deletes nothing."""
    left_out: int = 0
    """Entities of this page that the source leaves out on purpose; they count towards *total*."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Scopes that could not be read, each with a sentence that says why. Nothing in them, or in a scope below
    (`acme` holds `acme/payments`; the empty one holds all), is deleted in this run."""
    covers: Sequence[str] = ()
    """Of :meth:`Source.changes` alone: scopes that were read whole. What they no longer hold is deleted."""
    doubts: Sequence[str] = ()
    """What of the settings a whole run has found to be without effect, such as a pattern of names that nothing bears:
    a sentence each, with the place of the setting and without anything secret. They are told, and stop nothing."""


class Source(ABC):
    """A system that knows about entities: subclass it and translate.

    The runner owns the rest: the producer, the saved cursor, bursts and rests, the mapping, validation, the ledger,
    deletes, metrics. Raise ConfigError from `__init__` for settings that cannot be used, without asking the system:
    it may be away. Raise an error of the branch `SourceError` for what the system does; `sources.http` does so.
    """

    runs_here: ClassVar[bool] = True
    """False for a type whose changes others publish: no run is ever started."""
    page_size: ClassVar[int] = 50
    """`chunk_size` where the configuration does not say `incremental.chunk_size`."""

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings

    @abstractmethod
    def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page]:
        """Yield every page after *cursor*, in the source's own order; return once complete.

        *cursor* is that of the last page that was saved, None at the start of a run: Kafka has acknowledged all that
        was published up to it. A page may be asked for twice; it must never be skipped. Returning says "this was
        everything": what was not seen is deleted, past the guard. Raise if it was not. Raise CursorExpiredError for a
        cursor that no longer leads anywhere.

        The runner may wait between two pages for as long as `incremental.burst_interval`, and may close the generator
        after any of them; close there what you opened.
        """

    def changes(self, since: Cursor) -> AsyncGenerator[Page] | None:
        """Yield what changed after *since*, or return None where the system cannot tell: everything is read then.

        *since* is the cursor of the last page of a run that was complete. Only what lies in the scopes that the pages
        cover is deleted when it was not seen. Raise CursorExpiredError when the system no longer knows *since*.
        """
        del since
        return None
