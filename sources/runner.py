"""Runs a connector: looks every second at what is due, and does it under the connector's lease.

Whatever it knows is in Postgres: several processes may run the same connectors, and each can be ended at any moment.
"""

import asyncio
import random
import time
from contextlib import suppress
from typing import Final

import structlog
from psycopg.errors import ReadOnlySqlTransaction

from schemas.errors import (
    CursorExpiredError,
    Fatal,
    LeaseLostError,
    NotAcknowledgedError,
    PartialRunError,
    RateLimitedError,
)
from sources import holds, leases
from sources.connector import Connector, Place
from sources.failures import frames, reason
from sources.leases import DATABASE_AWAY, Lease
from sources.ledger import Ledger
from sources.outages import Announcer
from sources.plan import Due, due, is_resumable, mode_of
from sources.publisher import Publisher
from sources.run import Report, Run
from sources.schedule import after_failure, after_success, next_full
from sources.states import State, States
from sources.steering import ALERT_FAILURES
from sources.sweep import Sweep

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
_WAITED_FOR: Final = (LeaseLostError, NotAcknowledgedError, *DATABASE_AWAY)
"""What ends the work of this process, and is no failure of the connector."""


class Runner:
    """Runs one connector for as long as it is asked to."""

    def __init__(self, connector: Connector, place: Place) -> None:
        self.id = connector.id
        self.state: State | None = None
        """Where the connector stood at the last look; None before the first."""
        self._connector, self._place = connector, place
        self._states, self._ledger = States(connector.id), Ledger(connector.id, place.cluster)
        self._outages = Announcer(connector.id, place)
        self._log = log.bind(connector=connector.id)
        self._run: Run | None = None
        self._moved_at = time.monotonic()
        self._spared_until = 0.0
        """Until when an approved hold is left alone that could not be deleted, on the clock of `time.monotonic`."""

    @property
    def waited(self) -> float:
        """For how many seconds nothing went on: no page was taken, nothing deleted, nobody could look at what is due. A
        rest between two bursts is no such time.
        """
        return max(0.0, time.monotonic() - max(self._moved_at, 0.0 if self._run is None else self._run.moved_at))

    def _moved(self) -> None:
        self._moved_at = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Look, and do what is due, until *stop* is set. While Postgres is away nothing is done."""
        rest = self._connector.schedule.longest_rest
        self._place.metrics.begin(self.id, rest.total_seconds() if rest else 0.0)
        is_begun = False
        while not stop.is_set():
            try:
                if not is_begun:
                    await self.begin()
                    is_begun = True
                await self.look(stop)
                self._moved()
            except (*DATABASE_AWAY, TimeoutError) as error:
                self._log.warning("connector.database_away", reason=type(error).__name__)
                if isinstance(error, ReadOnlySqlTransaction):
                    # What is open leads to a standby, and would for as long as it is kept.
                    await self._place.pool.drain()
            except LeaseLostError as error:
                self._log.warning("connector.run_lost", reason=str(error))
            except NotAcknowledgedError as error:
                await self._kafka_away(error)
            await _sleep(stop, LOOK_SECONDS)

    async def begin(self) -> None:
        """Let the connector run now, unless it runs elsewhere or waits after a failure. Once, before the first look."""
        async with self._place.pool.connection() as connection:
            await self._states.begin(connection, self._connector.lease)

    async def look(self, stop: asyncio.Event) -> None:
        """Do what is due now, if no other process does it. Raises TimeoutError when Postgres keeps still."""
        async with asyncio.timeout(self._place.answer_seconds), self._place.pool.connection() as connection:
            await holds.expire(connection, self.id)
            state = self.state = await self._states.read(connection)
        self._place.metrics.stands(
            self.id,
            failures=state.consecutive_failures,
            held=state.held,
            last_success=state.last_success_at.timestamp() if state.last_success_at else 0.0,
        )
        # An expression of cron says when the next run comes, and not how long the connector rests.
        if state.last_success_at and state.next_run_at and not state.consecutive_failures and state.run is None:
            rest = (state.next_run_at - state.last_success_at).total_seconds()
            self._place.metrics.interval.labels(self.id).set(rest)
        found = due(state, self._connector, self._place.cluster)
        if found is None and not self._deletes(state):
            return
        async with asyncio.timeout(self._place.answer_seconds):
            lease = await leases.take(
                self._place.pool, self._connector.lease, holder=self._place.holder, seconds=self._place.lease_seconds
            )
        if lease is None:
            return
        async with leases.kept(self._place.pool, lease):
            await self._work(lease, stop)

    async def _work(self, lease: Lease, stop: asyncio.Event) -> None:
        """Another process may have done it since we looked: what counts is what stands there under the lease."""
        state = await self._read()
        found = due(state, self._connector, self._place.cluster)
        if found is not None:
            await self._attempt(lease, state, found, stop)
            # What the run has seen is back, and has left the hold.
            state = await self._read()
        if state.approved is not None and self._deletes(state):
            await self._delete_approved(lease, state.approved, stop)

    async def _read(self) -> State:
        async with self._place.pool.connection() as connection:
            state = self.state = await self._states.read(connection)
        return state

    def _deletes(self, state: State) -> bool:
        return state.approved is not None and time.monotonic() >= self._spared_until

    async def _delete_approved(self, lease: Lease, hold: str, stop: asyncio.Event) -> None:
        try:
            publisher = Publisher(self._place.client, self._place.topics.changes(self.id))
            sweep = Sweep(self._connector, self._place, publisher, lease, moved=self._moved)
            deleted = await sweep.approved(hold, stop)
        except _WAITED_FOR:
            raise
        except Exception as error:  # noqa: BLE001 - the other connectors go on, whatever keeps this one from it
            self._spared_until = time.monotonic() + self._connector.schedule.backoff[0].total_seconds()
            self._log.error("connector.hold_not_deleted", hold=hold, reason=reason(error))
            await self._note(error)
        else:
            self._log.info("connector.hold_deleted", hold=hold, count=deleted)

    async def _attempt(self, lease: Lease, before: State, found: Due, stop: asyncio.Event) -> None:
        state, began = before, time.monotonic()
        try:
            state = await self._opened(lease, before, found)
            run = self._run = Run(self._connector, self._place, lease, state)
            report = await run.go(stop)
        except _WAITED_FOR:
            # The run stays as it was saved: whoever takes it up goes on there.
            raise
        except Exception as error:  # noqa: BLE001 - a source may raise whatever its system does: the run failed
            await self._failed(lease, state, error)
        else:
            await self._ended(lease, state, report, time.monotonic() - began)
        finally:
            self._run = None

    async def _opened(self, lease: Lease, before: State, found: Due) -> State:
        """Return the state of the run to go on with, or of a new one."""
        if found.is_resumed:
            async with self._place.pool.connection() as connection:
                await lease.renew(connection)
                await self._states.answer_request(connection, before)
            self._log.info("connector.run_resumed", run=before.run, pages=before.pages)
            return before
        mode = mode_of(before, self._connector, self._place.cluster, is_full=found.is_full)
        async with self._place.pool.connection() as connection:
            await lease.renew(connection)
            if before.run is not None:
                await self._states.close_unfinished(connection, before.run)
            await self._states.answer_request(connection, before)
            run = await self._states.open_run(
                connection,
                before,
                mode=mode,
                trigger=found.trigger,
                is_full=found.is_full,
                cluster=self._place.cluster,
                fingerprint=self._connector.fingerprint,
            )
            await self._ledger.forget_seen(connection, but=run)
            self._log.info("connector.run_begun", run=run, mode=mode, trigger=found.trigger)
            return await self._states.read(connection)

    async def _ended(self, lease: Lease, state: State, report: Report, seconds: float) -> None:
        if report.ending == "interrupted":
            self._log.info("connector.run_interrupted", run=state.run)
            return
        await self._outages.recovered(lease, state)
        async with self._place.pool.connection() as connection:
            await lease.renew(connection)
            done = await self._states.read(connection)
            now = done.now
            # Jitter: replicas of a source's other clients must not all come at the same moment.
            planned = after_success(self._connector.schedule, now, chance=random.random())  # noqa: S311
            run = state.run or 0
            await self._states.succeed(
                connection,
                run,
                since=report.since,
                next_run_at=planned,
                # From its beginning: a full run that came due meanwhile is still to come.
                next_full_at=next_full(self._connector.schedule, state.started_at or now),
            )
            await self._states.close_run(connection, run, "complete")
            census = await self._ledger.census(connection)
            if census.elsewhere and state.mode == "complete":
                await self._ledger.forget_other_clusters(connection)
            await self._ledger.forget_seen(connection, but=0)
            self.state = await self._states.read(connection)
        rest = (planned - now).total_seconds()
        self._place.metrics.completed(self.id, seconds=seconds, entities=census.entities, rest_seconds=rest)
        self._place.reached("run.ended")
        self._log.info(
            "connector.run_completed",
            run=run,
            published=done.published,
            refused=done.refused,
            deleted=report.deleted,
            entities=census.entities,
        )

    async def _failed(self, lease: Lease, state: State, error: Exception) -> None:
        if isinstance(error, CursorExpiredError) and (state.cursor is not None or state.mode == "changes"):
            await self._begin_anew(lease, state, error)
            return
        outcome = "partial" if isinstance(error, PartialRunError) else "failed"
        if outcome == "partial":
            await self._outages.recovered(lease, state)
        failures = state.consecutive_failures + 1
        resume = is_resumable(error, failures)
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        async with self._place.pool.connection() as connection:
            await lease.renew(connection)
            now = (await self._states.read(connection)).now
            again_at = after_failure(self._connector.schedule, now, failures, retry_after=asked)
            told = (type(error).__name__, reason(error))
            if state.run is None:
                await self._states.answer_request(connection, state)
            is_full = state.requested_full if state.run is None else state.is_full
            # What a partial run has read was published, and the rest may never be read.
            is_still_full = is_full and not resume and outcome == "failed"
            await self._states.fail(
                connection, state.run, told, next_run_at=again_at, is_resumable=resume, is_full=is_still_full
            )
            if not resume and state.run is not None:
                await self._states.close_run(connection, state.run, outcome, error=told)
            state = self.state = await self._states.read(connection)
        self._place.metrics.ended(self.id, outcome)
        rose = {"frames": lines} if (lines := frames(error)) else {}
        self._log.error(
            "connector.run_failed", reason=told[1], failures=failures, again_at=again_at.isoformat(), **rose
        )
        is_outage = outcome == "failed" and not isinstance(error, Fatal)
        if is_outage and failures >= ALERT_FAILURES:
            await self._outages.away(lease, state)

    async def _kafka_away(self, error: NotAcknowledgedError) -> None:
        """The run goes on where it stands as soon as Kafka answers; the source has no part in it."""
        self._log.warning("connector.not_acknowledged", reason=str(error))
        with suppress(*DATABASE_AWAY):
            await self._note(error)

    async def _note(self, error: Exception) -> None:
        async with self._place.pool.connection() as connection:
            await self._states.note_error(connection, (type(error).__name__, reason(error)))

    async def _begin_anew(self, lease: Lease, state: State, error: Exception) -> None:
        """A cursor that leads nowhere is no fault of the source: everything is read, at once."""
        told = (type(error).__name__, reason(error))
        self._log.info("connector.cursor_expired", run=state.run, reason=told[1])
        async with self._place.pool.connection() as connection:
            await lease.renew(connection)
            await self._states.abandon(connection, state.run or 0, error=told, is_full=state.is_full)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
