"""What comes in: raw records of a changes topic, sorted into changes by entity, forwards and dead letters."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import structlog

from schemas.changes import Control, Origin
from schemas.dead_letters import dead_letter_headers
from schemas.errors import DecodeError, Skippable
from schemas.metrics import OUTCOMES
from schemas.partitions import partition_of
from schemas.records import Record
from schemas.refs import entity_key
from schemas.topics import CONNECTOR_ID, FORWARDED_FROM, RESERVED_CONNECTORS, Topics
from streams.partition import Written
from streams.policy import Policy
from streams.repeats import Repeats
from streams.transport import Output, Run

log = structlog.get_logger(__name__)

MAX_FORWARD: Final = 1_040_000
"""Bytes of value and headers that a changes topic surely takes."""
_ORIGIN: Final = re.compile(rb"[a-zA-Z0-9._-]{1,249}/\d{1,10}/\d{1,19}")


class Arrived(Protocol):
    """A record as the consumer hands it over."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes]]


@dataclass(slots=True)
class Tally:
    """What one run comes to: what is to be written, maybe with other runs, and what became of each of its records."""

    written: Written = field(default_factory=Written)
    controls: list[Control] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    stages: Counter[str] = field(default_factory=Counter)
    """Of the dead letters."""


class Pending(NamedTuple):
    """A change that was understood, with the record that carried it, and the tally of its run."""

    arrived: Arrived
    record: Record
    tally: Tally


class Intake:
    """Reads runs. What is no change of this partition is dealt with here, into the tally."""

    def __init__(self, topics: Topics, policy: Policy) -> None:
        self._topics = topics
        self._policy = policy
        self._repeats = Repeats()

    def read(self, run: Run, tally: Tally, pending: dict[bytes, list[Pending]]) -> None:
        """Add the changes of *run* to *pending*, by entity key, each key's in order."""
        connector = self._topics.connector_of(run.tp.topic) or ""
        policy = self._policy.of(connector)
        for arrived in run.records:
            tenant = _tenant(connector, arrived.key) or policy.tenant
            origin = Origin(
                connector=connector,
                tenant=tenant,
                is_complete=policy.is_complete,
                timestamp=arrived.timestamp,
                id=_origin(arrived),
            )
            try:
                change = self._repeats.read(arrived.value, origin)
            except Skippable as error:
                self.dead_letter(arrived, error, tally)
                continue
            if isinstance(change, Control):
                tally.controls.append(change)
                tally.counts["control"] += 1
                if arrived.key != connector.encode():
                    # Obeyed all the same: the topic names the connector. Its sender may have taken another topic.
                    log.warning(
                        "control.wrong_key", topic=arrived.topic, partition=arrived.partition, offset=arrived.offset
                    )
                continue
            key = entity_key(tenant, change.ref)
            entry = Pending(arrived, change.record, tally)
            if arrived.key == key:
                pending.setdefault(key, []).append(entry)
            else:
                self.forward(key, [entry])

    def belongs(self, key: bytes, partition: int) -> bool:
        """Whether Kafka's default partitioner puts *key* here."""
        return partition_of(key, self._topics.partitions) == partition

    def forward(self, key: bytes, pending: Iterable[Pending]) -> None:
        """Send changes on under the right key to the right partition, as they came: never merged where they fell."""
        partition = partition_of(key, self._topics.partitions)
        for arrived, _, tally in pending:
            headers = [(name, value) for name, value in arrived.headers if name != FORWARDED_FROM]
            headers.append((FORWARDED_FROM, _origin(arrived).encode()))
            if len(arrived.value or b"") + sum(len(name) + len(value or b"") for name, value in headers) > MAX_FORWARD:
                self.dead_letter(arrived, DecodeError("too large, with its headers, to be forwarded"), tally)
                continue
            tally.written.add(arrived.topic, partition, Output(key, arrived.value, headers, arrived.timestamp))
            tally.counts["forwarded"] += 1

    def dead_letter(self, arrived: Arrived, error: Skippable, tally: Tally, *, attempts: int = 1) -> None:
        """Set a record aside, byte for byte, with the reason."""
        headers = dead_letter_headers(
            error, stage=error.stage, origin=_origin(arrived), timestamp=arrived.timestamp, attempts=attempts
        )
        output = Output(arrived.key, arrived.value, [*arrived.headers, *headers])
        tally.written.add(self._topics.dead_letters, arrived.partition, output)
        tally.counts["dead_lettered"] += 1
        tally.stages[error.stage] += 1
        log.warning(
            "change.dead_lettered",
            topic=arrived.topic,
            partition=arrived.partition,
            offset=arrived.offset,
            stage=error.stage,
            reason=str(error),
        )


def _tenant(connector: str, key: bytes | None) -> str | None:
    """Return the tenant that *key* names, where that is who decides: people of all tenants speak through the same two
    topics, to which nobody but the API writes.
    """
    if connector not in RESERVED_CONNECTORS or not key:
        return None
    tenant = key.decode(errors="replace").partition("|")[0]
    return tenant if b"|" in key and CONNECTOR_ID.fullmatch(tenant) else None


def _origin(arrived: Arrived) -> str:
    """Return `topic/partition/offset` of the record that first carried the change."""
    if arrived.headers:
        # Anybody may write that header: what does not look like ours is no origin.
        forwarded = _ORIGIN.fullmatch(dict(arrived.headers).get(FORWARDED_FROM) or b"")
        if forwarded:
            return forwarded[0].decode()
    return f"{arrived.topic}/{arrived.partition}/{arrived.offset}"
