"""What Kafka and Postgres hold: read from the real topics and tables by clients of the demo's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import orjson
import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from psycopg.rows import dict_row

from mainstem.installation import Installation
from schemas.entities import MergedEntity, Vanished
from schemas.errors import UnavailableError
from schemas.refs import DEFAULT_TENANT
from schemas.statements import statements
from sinks.base import Delivery
from sinks.entities import read_entity

_QUERIES: Final = statements(Path(__file__).with_name("queries.sql"))
_AT_ONCE: Final = 500
_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One CloudEvent of `service.updated`: its headers `ce_…`, and its data."""

    headers: dict[str, str]
    data: dict[str, Any]


class Evidence:
    """Asks again at every call; nothing that it says is older than the call. For one thread."""

    def __init__(self, installation: Installation) -> None:
        self._dsn = installation.dsn
        self._topics = installation.topics
        self._merged: dict[str, MergedEntity | Vanished] = {}
        self._events: dict[str, list[Event]] = {}
        self._consumer = Consumer({**installation.client, "group.id": "mainstem-demo", "enable.auto.commit": False})
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in (self._topics.entities, self._topics.service_updated)
                for partition in range(self._topics.partitions)
            ]
        )

    def close(self) -> None:
        self._consumer.close()

    def on_topic(self, ref: str) -> MergedEntity | Vanished | None:
        """Return the newest record of an entity on the topic of merged entities."""
        self._read_on()
        return self._merged.get(ref)

    def events(self, ref: str) -> list[Event]:
        """Return the events about an entity, in the order of the topic."""
        self._read_on()
        return list(self._events.get(ref, ()))

    def row(self, ref: str) -> dict[str, Any] | None:
        """Return an entity's row, that of a vanished one too."""
        rows = self._ask("row", {"ref": ref})
        return rows[0] if rows else None

    def existing(self) -> set[str]:
        """Return the references of all entities that exist."""
        return {row["entity_ref"] for row in self._ask("existing", {})}

    def existing_count(self) -> int:
        return int(self._ask("existing_count", {})[0]["count"])

    def merge_seconds(self) -> float:
        """Return the time from the first change to the last merge."""
        return float(self._ask("merge_seconds", {})[0]["seconds"] or 0)

    def won_by(self, connector: str) -> int:
        """Return how many entities have their tier from *connector*."""
        return int(self._ask("won_by", {"connector": connector})[0]["count"])

    def _ask(self, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            with psycopg.connect(self._dsn, connect_timeout=_ANSWER_SECONDS) as connection:
                cursor = connection.cursor(row_factory=dict_row)
                return cursor.execute(_QUERIES[query], {**parameters, "tenant": DEFAULT_TENANT}).fetchall()
        except psycopg.OperationalError:
            raise UnavailableError("the demo's Postgres went away") from None

    def _read_on(self) -> None:
        while messages := self._consumer.consume(_AT_ONCE, timeout=_POLL_SECONDS):
            for message in messages:
                if message.error() is None:
                    self._take(message)

    def _take(self, message: Any) -> None:
        headers = list(message.headers() or [])
        if message.topic() == self._topics.service_updated:
            told = {name: value.decode() for name, value in headers}
            event = Event(headers=told, data=orjson.loads(message.value()))
            self._events.setdefault(told["ce_subject"], []).append(event)
            return
        delivery = Delivery(
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
            key=message.key(),
            value=message.value(),
            headers=headers,
            timestamp=message.timestamp()[1],
        )
        merged = read_entity(delivery)
        self._merged[merged.entity_ref] = merged


def api_status(api: str, ref: str) -> int:
    """Return the HTTP status with which the API answers for an entity, 0 when it does not."""
    try:
        return httpx2.get(f"{api}/v1/entities/{ref}", timeout=_ANSWER_SECONDS).status_code
    except httpx2.HTTPError:
        return 0
