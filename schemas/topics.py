"""The topics: what each is called, what its keys and values are, how it is kept.

| topic | key | value | written by | read by |
|---|---|---|---|---|
| `<prefix>.changes.<connector>` | entity key | a change, JSON or Avro (`changes.py`) | anybody | processor |
| `<prefix>.entities` | entity key | the merged entity (`MergedEntity.avsc`); null = gone | processor | sinks |
| `<prefix>.service.updated` | entity key | CloudEvents 1.0, binary mode | sink `incidents` | anybody |
| `<prefix>.dead-letters` | original key | original value, byte for byte | processor, sinks | people |
| `<prefix>-processor-records-changelog` | entity key | its table (`Records.avsc`) | processor | it, sink `postgres` |

A change travels: a connector such as `sources/git.py` → `sources/runner.py` → `streams/processor.py` →
`streams/merge.py` → `sinks/runner.py` → `sinks/postgres/sink.py`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas.errors import TopicMismatchError

CONNECTOR_ID = re.compile(r"[a-z0-9-]{1,63}")
RESERVED_CONNECTORS = ("override", "manual")
"""What people say through the API: no configuration may use these ids."""

MAX_CHANGE_BYTES = 1_000_000
MAX_ENTITY_BYTES = 4 * 1024 * 1024
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

DAY_MS = 24 * 60 * 60 * 1000
TOMBSTONE_MS = 7 * DAY_MS

FORWARDED_FROM = "mainstem-forwarded-from"
"""Header of a record that came on the wrong partition or under another key: `topic/partition/offset` of its origin."""

RESERVED_PREFIX = b"\x00"
"""Keys of the changelog that begin with it are the processor's own; readers skip them."""
OUTAGES_KEY = RESERVED_PREFIX + b"outages"
"""The one such key that others may read: JSON of `version` and `words`, by connector [observed at (epoch ms), op] of
each `outage` and `recovered` that it said of itself."""

_LARGE = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
_DECISIVE = ("cleanup.policy", "message.timestamp.type", "max.message.bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicDefinition:
    """One topic as `mainstem topics create` makes it."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingTopic:
    """One topic as the cluster describes it."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The names and settings of one installation's topics."""

    prefix: str = "mainstem"
    partitions: int = 12
    replication_factor: int = 3
    _changes_prefix: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "_changes_prefix", f"{self.prefix}.changes.")

    @property
    def entities(self) -> str:
        return f"{self.prefix}.entities"

    @property
    def service_updated(self) -> str:
        return f"{self.prefix}.service.updated"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}.dead-letters"

    @property
    def processor_group(self) -> str:
        return f"{self.prefix}-processor"

    @property
    def operator_group(self) -> str:
        """Named by commands that look at topics: nobody joins it, nothing is committed."""
        return f"{self.prefix}-operator"

    def sink_group(self, name: str) -> str:
        return f"{self.prefix}-sink-{name}"

    @property
    def changelog(self) -> str:
        return f"{self.prefix}-processor-records-changelog"

    def changes(self, connector: str) -> str:
        return self._changes_prefix + connector

    def connector_of(self, topic: str) -> str | None:
        """Return the connector whose changes *topic* carries; None when it is no changes topic."""
        connector = topic.removeprefix(self._changes_prefix)
        return connector if topic != connector and CONNECTOR_ID.fullmatch(connector) else None

    def definitions(self, connectors: Iterable[str]) -> list[TopicDefinition]:
        """Return every topic that an installation with these connectors needs, those of the pseudo-connectors too."""
        compacted = {"cleanup.policy": "compact", "delete.retention.ms": str(TOMBSTONE_MS), **_LARGE}
        return [
            *(self.changes_definition(each) for each in dict.fromkeys([*connectors, *RESERVED_CONNECTORS])),
            self._definition(self.entities, compacted),
            self._definition(self.changelog, {**compacted, "min.compaction.lag.ms": str(DAY_MS)}),
            self._definition(self.service_updated, {**_deleted_after(7), **_LARGE}),
            self._definition(self.dead_letters, {**_deleted_after(30), **_LARGE}),
        ]

    def changes_definition(self, connector: str) -> TopicDefinition:
        config = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "3600000"}
        return self._definition(self.changes(connector), {**_deleted_after(7), **config})

    def _definition(self, name: str, config: Mapping[str, str]) -> TopicDefinition:
        if self.replication_factor > 2:  # noqa: PLR2004 - one replica may be away and a write is still on two
            config = {**config, "min.insync.replicas": str(self.replication_factor - 1)}
        return TopicDefinition(
            name=name, partitions=self.partitions, replication_factor=self.replication_factor, config=config
        )


def differences(wanted: TopicDefinition, found: ExistingTopic | None) -> list[str]:
    """Return a sentence for each way in which a topic is not as it should be; empty when it is right."""
    if found is None:
        return [f"topic {wanted.name} does not exist; run `mainstem topics create`"]
    rows = []
    if found.partitions != wanted.partitions:
        rows.append(
            f"topic {wanted.name} has {found.partitions} partitions, {wanted.partitions} are needed;"
            " set topics.partitions to what exists, or create the topic anew"
        )
    rows += [
        f"topic {wanted.name} has {name}={found.config.get(name)}, {value} is needed"
        for name, value in wanted.config.items()
        if found.config.get(name) != value
    ]
    return rows


def require(wanted: TopicDefinition, found: ExistingTopic | None) -> None:
    """Raise TopicMismatchError when a worker must not start on this topic.

    Only what would lose or misplace data counts here: existence, partitions, cleanup, timestamps, sizes.
    """
    decisive = {name: value for name, value in wanted.config.items() if name in _DECISIVE}
    rows = differences(
        TopicDefinition(name=wanted.name, partitions=wanted.partitions, replication_factor=1, config=decisive), found
    )
    if rows:
        raise TopicMismatchError("; ".join(rows))


def _deleted_after(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS)}
