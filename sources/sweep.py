"""The end of a run: what it should have seen and did not is deleted, past the guard, or held."""

import asyncio
from collections.abc import Callable

import structlog

from schemas.errors import EmptyAnswerError
from sources import holds
from sources.connector import Connector, Place
from sources.guard import allows
from sources.leases import Lease
from sources.ledger import Gone, Ledger, Reach
from sources.publisher import Publisher
from sources.states import Counts, State, States

log = structlog.get_logger(__name__)

BATCH = 1_000


class Sweep:
    """Deletes for one connector, under its lease. What a crash interrupts is done again; nothing is forgotten before
    Kafka has acknowledged its deletion. *moved* is called after each batch.
    """

    def __init__(
        self, connector: Connector, place: Place, publisher: Publisher, lease: Lease, *, moved: Callable[[], None]
    ) -> None:
        self._connector, self._place = connector, place
        self._publisher, self._lease, self._moved = publisher, lease, moved
        self._ledger = Ledger(connector.id, place.cluster)
        self._states = States(connector.id)
        self._log = log.bind(connector=connector.id)

    async def absent(self, run: int, state: State, stop: asyncio.Event) -> int | None:
        """Delete what *run* did not see of what it read, or hold it. Return how many were deleted; None when *stop* or
        a pause ended it between two batches, to be gone on with.

        Raises EmptyAnswerError when a whole run saw nothing where there was something.
        """
        reach = reach_of(state)
        hold, count = await self._judge(run, state, reach)
        if hold is not None:
            self._log.warning("connector.deletions_held", hold=hold, count=count)
            return 0
        deleted = 0
        while count:
            if stop.is_set():
                return None
            gone = await self._take_absent(run, reach)
            if gone is None:
                return None
            if not gone:
                break
            await self._delete(gone, run)
            deleted += len(gone)
        return deleted

    async def approved(self, hold: str, stop: asyncio.Event) -> int:
        """Delete what somebody approved of: of the hold, what has not come back. Return how many were deleted.

        When *stop* is set, the rest waits for whoever looks next.
        """
        deleted = 0
        while not stop.is_set():
            async with self._place.pool.connection() as connection:
                await self._lease.renew(connection)
                gone = await self._ledger.take_held(connection, hold, BATCH)
                if not gone:
                    await holds.finish(connection, hold)
                    return deleted
            await self._delete(gone, None)
            deleted += len(gone)
        return deleted

    async def _judge(self, run: int, state: State, reach: Reach) -> tuple[str | None, int]:
        """Return the hold that was made, None where the deletions may go ahead, and how many there are."""
        async with self._place.pool.connection() as connection:
            await self._lease.renew(connection)
            await self._states.set_phase(connection, run, "sweep")
            census = await self._ledger.census(connection)
            if census.entities and _saw_nothing(state):
                raise EmptyAnswerError(
                    f"the source gave nothing at all, and there are {census.entities:,} entities of it: nothing is"
                    f" deleted. If it is empty indeed: mainstem connectors forget {self._connector.id}"
                )
            count = await self._ledger.count_absent(connection, run, reach)
            if allows(count, held=census.held if count else 0, entities=census.entities, limits=self._connector.limits):
                return None, count
            hold = await holds.make(connection, self._connector.id, run, census.entities)
            await self._ledger.hold_absent(connection, run, reach, hold)
            await self._states.count(connection, run, Counts(held=count))
            return hold, count

    async def _take_absent(self, run: int, reach: Reach) -> list[Gone] | None:
        """Return what to delete next; None when somebody has paused the connector."""
        self._place.reached("sweep.begun")
        async with self._place.pool.connection() as connection:
            await self._lease.renew(connection)
            if await self._states.set_phase(connection, run, "sweep"):
                return None
            return await self._ledger.take_absent(connection, run, reach, BATCH)

    async def _delete(self, gone: list[Gone], run: int | None) -> None:
        now_ms = self._lease.now_ms()
        drafts = [self._connector.sieve.deletion(each, now_ms) for each in gone]
        self._place.reached("sweep.taken")
        self._lease.check()
        await asyncio.to_thread(self._publisher.publish, drafts)
        self._place.reached("sweep.published")
        async with self._place.pool.connection() as connection:
            await self._lease.renew(connection)
            await self._ledger.forget(connection, [each.entity_ref for each in gone])
            if run is not None:
                await self._states.count(connection, run, Counts(deleted=len(gone)))
        self._place.metrics.deleted.labels(self._connector.id).inc(len(gone))
        self._moved()
        self._place.reached("sweep.forgotten")
        self._log.info("connector.deleted", count=len(gone))


def reach_of(state: State) -> Reach:
    """Return what the run of *state* has read whole, and what it could not read or understand."""
    return Reach(read=[""] if state.mode == "complete" else list(state.covers), unread=list(state.unread))


def _saw_nothing(state: State) -> bool:
    """Whether a whole run brought nothing, not even something unreadable."""
    seen = state.entities + state.filtered + state.refused + state.left_out
    return state.mode == "complete" and not seen and not state.unread
