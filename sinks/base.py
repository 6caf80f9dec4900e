"""The one class to subclass when merged entities should reach another system.

Register the class under the entry-point group `mainstem.sinks`; `mainstem sinks run NAME` runs it.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import Topics

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""
Positions = Mapping[Partition, int]
"""Of each partition the offset of the next record to read."""


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
    options: Mapping[str, Any] = field(default_factory=dict)
    """The sink's own section of `mainstem.yaml`."""


class Sink(ABC):
    """A system that wants to know about merged entities: subclass it and translate.

    The runner owns the rest: the consumer, batches, retries, offsets, dead letters, metrics. It calls every
    method from one thread. Raise ConfigError from `__init__` for options that cannot be used.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self.settings = settings

    @property
    def topics(self) -> Sequence[str]:
        """The topics to read. Keys of the changelog that are the processor's own are never delivered."""
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

    def close(self) -> None:  # noqa: B027 - a hook: most sinks hold nothing open
        """Release what is held. Called once, last."""
