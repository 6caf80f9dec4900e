"""The one class to subclass when merged entities should reach another system.

Register the class under the entry-point group `mainstem.sinks`; `mainstem sinks run NAME` runs it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Final

from prometheus_client.registry import CollectorRegistry

from schemas.errors import ConfigError
from schemas.topics import Topics

DEFAULT_SERVICE_KINDS: Final = ("component", "api", "system", "resource")
"""The kinds of entities that are services, unless configured."""
Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""
Positions = Mapping[Partition, int]
"""Of each partition the offset of the next record to read."""


def _no_secrets(ref: str) -> str:
    raise ConfigError(f"the secret {ref} cannot be fetched here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One record of a topic, as Kafka delivers it."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    """None = gone."""
    headers: list[tuple[str, bytes | None]]
    timestamp: int
    """Epoch ms."""

    def header(self, name: str) -> bytes | None:
        """Return the last header of that name."""
        return next((value for found, value in reversed(self.headers) if found == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """What a sink is given: parsed once, never read from the environment."""

    name: str
    topics: Topics = field(default_factory=Topics)
    client: Mapping[str, str | int | bool]
    """How to reach Kafka: librdkafka's `bootstrap.servers`, security and the like."""
    dsn: str = ""
    """Mainstem's own database."""
    keep_vanished: timedelta = timedelta(days=30)
    """How long rows of vanished entities stay in it."""
    service_kinds: tuple[str, ...] = DEFAULT_SERVICE_KINDS
    """The kinds of entities that are services, lower-cased."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The sink's own section of `mainstem.yaml`."""
    secret: Callable[[str], str] = _no_secrets
    """Fetches what a `secret_ref` names (`env:NAME`, `file:PATH`), anew at each call. Raises ConfigError."""
    registry: CollectorRegistry | None = None
    """Where a sink declares metrics of its own; None = nobody looks at them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a batch may grow before it is written."""

    records: int = 4_000
    size: int = 8 * 1024 * 1024
    """Bytes of keys and values; the record that reaches it is still part of the batch."""
    wait: float = 0.2
    """Seconds to wait for a first record."""
    span: float = 0.2
    """Seconds from the first record to the write, however many more keep coming."""


class Sink(ABC):
    """A system that wants to know about merged entities: subclass it and translate.

    The runner owns the rest: the consumer, batches, retries, offsets, dead letters, metrics. It calls every
    method from one thread. Raise ConfigError from `__init__` for options that cannot be used.
    """

    rebuild_means: ClassVar[str] = "every record of its topics is carried on once more, as if it had never been"
    """What `mainstem sinks rebuild` tells before it asks whether to go on: an end of a sentence."""

    limits: ClassVar[Limits] = Limits()
    """How large its batches may grow."""

    tend_seconds: ClassVar[float] = 60.0
    """How often :meth:`tend` is called, about."""

    reserved_keys: ClassVar[frozenset[bytes]] = frozenset()
    """Keys of the processor's own that are delivered."""

    def __init__(self, settings: SinkSettings) -> None:
        self.settings = settings

    @property
    def topics(self) -> Sequence[str]:
        """The topics to read. Of the processor's own keys in the changelog, `reserved_keys` alone are delivered."""
        return (self.settings.topics.entities,)

    @abstractmethod
    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        """Carry *batch* on; return once it cannot be lost.

        Deliveries of one partition come in order; the same ones may come again, after a fault alone or in other
        batches. *positions* is where reading goes on once the batch is written; the batch may be empty when only
        they move. Raise Retriable for what may pass (the same call is repeated, for ever), Skippable for what can
        never succeed (the runner finds the record and sets it aside), before anything is carried on if possible.
        Anything else ends the process.
        """

    def stored_positions(self, partitions: Collection[Partition]) -> Positions | None:
        """Return where to go on reading, for a sink that stores *positions* together with what it writes.

        Asked at every assignment, before the first write. A partition that is left out is read from its start.
        None = the sink stores none: the consumer group's committed offsets count.
        """
        del partitions
        return None

    def request_rebuild(self, partitions: Collection[Partition]) -> None:
        """Keep in mind, durably, that *partitions* are to be read anew: the next assignment begins with it.

        Asked only of a sink that stores positions, by another process than those that write. From then on
        :meth:`stored_positions` leaves the partitions out, :meth:`rebuilding` holds them.
        """
        del partitions
        raise ConfigError(f"the sink {self.settings.name} stores positions of its own and offers no rebuild")

    def rewind(self, starts: Positions) -> None:  # noqa: B027 - a hook: without positions of its own a sink has none
        """Prepare for reading partitions from their very start, where *starts* says.

        Called at an assignment, for partitions that :meth:`stored_positions` left out, and for those whose stored
        position lies before the start: ends of entities that came in between were missed.
        """

    def rebuilding(self, partitions: Collection[Partition]) -> Positions:
        """Return those of *partitions* that are being read anew, and where that began.

        Asked after :meth:`stored_positions` and :meth:`rewind`.
        """
        del partitions
        return {}

    def finish_rebuild(self, partition: Partition) -> int:
        """Remove what was carried on earlier and was not seen again; return how much that was.

        Called once everything was written that *partition* held, from its start to its end, and never after a
        fault or a gap. May be repeated.
        """
        del partition
        return 0

    def tend(self) -> int:
        """Keep house, for a second or so: called every `tend_seconds`, between batches. Return how much was removed.

        Raise Retriable for what may pass; the next call is the next try.
        """
        return 0

    def close(self) -> None:  # noqa: B027 - a hook: most sinks hold nothing open
        """Release what is held. Called once, last."""
