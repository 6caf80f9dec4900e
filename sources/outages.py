"""A connector's word about itself: it cannot reach its source, or can again."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import structlog

from schemas.canonical import canonical_json
from schemas.errors import Fatal
from sources.connector import Place
from sources.leases import Lease
from sources.publisher import Draft, Publisher
from sources.states import State, States

log = structlog.get_logger(__name__)

Op = Literal["outage", "recovered"]


def announce(client: Mapping[str, str | int | bool], topic: str, connector: str, op: Op, observed_at_ms: int) -> int:
    """Write *op* to every partition of *topic*, the changes topic of *connector*; return how many there are.

    Blocks until every partition has it. Raises Retriable when one does not: some may have it then, and saying it again
    with the same *observed_at_ms* changes nothing where it was heard. Raises TopicMismatchError without the topic.
    """
    publisher = Publisher(client, topic)
    value = canonical_json({"op": op, "observedAt": observed_at_ms})
    receipts = publisher.publish(
        Draft(entity_ref=connector, key=connector.encode(), value=value, partition=partition)
        for partition in range(publisher.partitions())
    )
    return len(receipts)


class Announcer:
    """Tells the processor of a connector's outages, and remembers which one was told."""

    def __init__(self, connector: str, place: Place) -> None:
        self._connector, self._place, self._states = connector, place, States(connector)
        self._log = log.bind(connector=connector)

    async def away(self, lease: Lease, state: State) -> None:
        """The source has not answered again. Remembered before it is told, so that it is ended; and told each time,
        since nobody knows whether it was heard: the same outage, announced again, changes nothing.
        """
        since = state.outage_since or state.first_failure_at or state.now
        if state.outage_since is None:
            await self._remember(lease, since)
        await self._told(lease, "outage", since)

    async def recovered(self, lease: Lease, state: State) -> None:
        """The source has answered: an outage that was announced is over, and forgotten once Kafka has that."""
        now = datetime.fromtimestamp(lease.now_ms() / 1000, UTC)
        if state.outage_since is not None and await self._told(lease, "recovered", now):
            await self._remember(lease, None)

    async def _remember(self, lease: Lease, since: datetime | None) -> None:
        async with self._place.pool.connection() as connection:
            await lease.renew(connection)
            await self._states.set_outage(connection, since)

    async def _told(self, lease: Lease, op: Op, at: datetime) -> bool:
        """Whether Kafka has it. Where it does not let us, nothing else ends of that. Raises NotAcknowledgedError."""
        topic, at_ms = self._place.topics.changes(self._connector), int(at.timestamp() * 1000)
        lease.check()
        try:
            await asyncio.to_thread(announce, self._place.client, topic, self._connector, op, at_ms)
        except Fatal as error:
            self._log.error("connector.outage_not_announced", op=op, reason=str(error))
            return False
        self._log.warning("connector.outage_announced", op=op)
        return True
