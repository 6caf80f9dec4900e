"""The record of one connector about one entity: its change that counts, kept until it is forgotten."""

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

NEVER: Final = float("inf")
"""A ttl that never ends, and a moment that never comes."""
VERSION_BITS: Final = 20
"""The version of a state and of a merged entity is `epoch << 20 | counter`; a full counter carries into the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One connector's whole view of one entity, or its delete. Times are epoch ms.

    What follows from configuration (a ttl or priority left to the connector) is resolved at every merge and
    never stored.
    """

    connector: str
    generation: int
    version: int
    observed_at: int
    timestamp: int
    """Of the Kafka record that carried the change."""
    ttl: float | None
    """Seconds; NEVER; None = left to the connector."""
    priority: int | None
    content_hash: str
    """Empty for a delete."""
    content: bytes | None
    """Canonical JSON of `{"entity", "service"}` as received; None for a delete."""
    id: str
    _body: dict[str, Any] | None = field(default=None, compare=False, repr=False)
    encoded: bytes | None = field(default=None, init=False, compare=False, repr=False)
    """As it was read; what is made of the record by replace() has none."""

    @property
    def is_delete(self) -> bool:
        return self.content is None

    @property
    def body(self) -> dict[str, Any]:
        """`{"entity", "service"}`; not to be altered. Not to be asked of a delete."""
        if self._body is None:
            object.__setattr__(self, "_body", orjson.loads(self.content or b""))
        return self._body or {}

    def keep_encoded(self, encoded: bytes) -> None:
        """For the codec alone: *encoded* is what this record is read from and written as."""
        object.__setattr__(self, "encoded", encoded)

    @property
    def rank(self) -> tuple[int, int, int, bool, str, float, float]:
        """The greatest rank counts. A total order over content: arrival plays no part."""
        return (
            self.generation,
            self.version,
            self.observed_at,
            self.is_delete,
            self.content_hash,
            -NEVER if self.ttl is None else self.ttl,
            -NEVER if self.priority is None else self.priority,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the processor holds about one entity, and what was last published of it."""

    version: int = 0
    merged_at: int = 0
    """Epoch ms of the last merge; the published entity is the merge of `records` at that moment."""
    content_hash: str = ""
    view_hash: str = ""
    by_connector: dict[str, Record] = field(default_factory=dict)

    @property
    def is_published(self) -> bool:
        return bool(self.content_hash)
