"""What people change, onto the topics of the pseudo-connectors, and the wait for what comes of it."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from mainstem.access import tenants
from schemas.errors import NotAcknowledgedError, UnavailableError
from schemas.partitions import partition_of
from schemas.refs import entity_key
from schemas.statements import statements
from schemas.topics import Topics
from sources.publisher import Draft, Publisher, Receipt

DELIVERY_MS: Final = 4_000
"""For so long Kafka may take to acknowledge a change; after that nothing of it is sent any more."""
WAIT_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05
_ANSWER_SECONDS: Final = 5.0
_SINK: Final = "postgres"
_QUERIES: Final = statements(Path(__file__).with_name("publishing.sql"))

Connected = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kafka:
    """Where changes are published to."""

    client: Mapping[str, str | int | bool]
    topics: Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A change that Kafka acknowledged."""

    connector: str
    tenant: str
    entity_ref: str
    version: int
    receipt: Receipt


class Publishing:
    """Publishes changes from an event loop. *kafka* None: whoever publishes is told that there is none."""

    def __init__(self, kafka: Kafka | None) -> None:
        self._kafka = kafka
        self._publishers: dict[str, Publisher] = {}
        self._reader: Consumer | None = None
        self._making = threading.Lock()

    async def publish(self, connector: str, draft: Draft) -> Receipt:
        """Return Kafka's acknowledgement of *draft*. Raises NotAcknowledgedError, after which it may have arrived all
        the same; UnavailableError and TopicMismatchError when it has not.
        """
        if self._kafka is None:
            raise UnavailableError("nothing can be published: this API knows of no Kafka; set kafka.bootstrap_servers")
        if connector not in self._publishers:
            topic = self._kafka.topics.changes(connector)
            self._publishers[connector] = Publisher(self._kafka.client, topic, delivery_ms=DELIVERY_MS)
        (receipt,) = await asyncio.to_thread(self._publishers[connector].publish, [draft])
        return receipt

    async def wait_until_readable(self, pool: AsyncConnectionPool, said: Said) -> bool:
        """Wait until what the merge made of *said* is in the tables; return False when that takes too long."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                asked = {name: getattr(said, name) for name in ("connector", "tenant", "entity_ref", "version")}
                await self._reached(lambda: tenants.inside(pool, said.tenant), "record_is_read", asked)
                # The processor publishes the entity before it says that it holds the record.
                place = await asyncio.to_thread(self._end_of_entities, said)
                await self._reached(pool.connection, "entities_are_read", place)
        except (TimeoutError, NotAcknowledgedError, psycopg.Error):
            return False
        return True

    async def _reached(self, connected: Connected, query: str, parameters: Mapping[str, Any]) -> None:
        while True:
            async with connected() as connection:
                if await (await connection.execute(_QUERIES[query], parameters)).fetchone():
                    return
            await asyncio.sleep(_LOOK_SECONDS)

    def _reader_of(self, kafka: Kafka) -> Consumer:
        """Return whom the threads of all requests ask. Not an AdminClient: of those that ask one at the same time, some
        get no answer, and wait for it in vain.
        """
        with self._making:
            if self._reader is None:
                self._reader = Consumer({**kafka.client, "group.id": kafka.topics.operator_group})
            return self._reader

    def _end_of_entities(self, said: Said) -> dict[str, Any]:
        """Return the partition of the entity, and its end at this moment."""
        assert self._kafka is not None
        topics = self._kafka.topics
        place = TopicPartition(
            topics.entities, partition_of(entity_key(said.tenant, said.entity_ref), topics.partitions)
        )
        try:
            _, end = self._reader_of(self._kafka).get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
        except KafkaException:
            raise NotAcknowledgedError("Kafka does not say where the topic of entities ends") from None
        return {"sink": _SINK, "topic": place.topic, "partition": place.partition, "end": end}
