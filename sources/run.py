"""One run of one connector: page after page in bursts, each published and then saved, and the sweep at its end."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from schemas.errors import CursorExpiredError, LeaseLostError, PartialRunError
from sources.base import Cursor
from sources.connector import Connector, Place
from sources.effect import doubts
from sources.leases import DATABASE_AWAY, Lease, autocommitting
from sources.ledger import Ledger
from sources.pages import PageReader, Treadmill
from sources.publisher import Publisher
from sources.sifting import LeftOut, Moment, Sifted, Sighted, said, sift, sighted
from sources.states import State, States
from sources.sweep import Sweep
from sources.unsaved import Unsaved

log = structlog.get_logger(__name__)

_SCOPES_TOLD: Final = 3

Ending = Literal["complete", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a run went. *since*: where the next one may begin, None where it has to read everything."""

    ending: Ending
    since: Cursor | None = None
    deleted: int = 0


class Run:
    """The run that *state* speaks of: a new one, or one that goes on after the last page that was saved."""

    def __init__(self, connector: Connector, place: Place, lease: Lease, state: State) -> None:
        if state.run is None:
            raise ValueError("the state has no run")
        self.moved_at = 0.0
        """Until when it gets on, on the clock of `time.monotonic`: when a page was last taken, or what is gone was
        deleted; while it rests, when it goes on.
        """
        self._connector, self._place, self._lease, self._state = connector, place, lease, state
        self._run, self._left_out, self._silent = state.run, LeftOut(), set(connector.sieve.adding)
        self._publisher = Publisher(place.client, place.topics.changes(connector.id))
        self._ledger, self._states = Ledger(connector.id, place.cluster), States(connector.id)
        self._log = log.bind(connector=connector.id, run=state.run)
        self._is_paused = False
        self._unsaved = Unsaved()
        self._last: Cursor | None = state.cursor

    async def go(self, stop: asyncio.Event) -> Report:
        """Read, publish and save every page; then delete what is no longer there. Raises what kept it from that.

        It ends early, to be gone on with, when *stop* is set or the connector is paused.
        """
        if self._state.phase != "sweep" and not await self._read(stop):
            return Report(ending="interrupted")
        state = await self._progress()
        shortage = _shortage(state)
        deleted = 0 if shortage else await self._sweep(state, stop)
        if deleted is None:
            return Report(ending="interrupted")
        self._place.reached("run.swept")
        _raise_if_partial(state, shortage)
        self._doubt(state)
        return Report(ending="complete", since=None if state.has_duplicates else state.cursor, deleted=deleted)

    async def _read(self, stop: asyncio.Event) -> bool:
        """Return whether the source came to its end."""
        source, cursor = self._connector.source, self._state.cursor
        since = self._state.since if self._state.mode == "changes" else None
        pages = source.pages(cursor) if since is None else source.changes(since)
        if pages is None:
            raise CursorExpiredError("the source cannot tell any more what has changed: everything is read")
        sieve = self._connector.sieve
        reader, treadmill = PageReader(pages, lambda page: sighted(page, sieve)), Treadmill(cursor)
        try:
            is_end = await self._bursts(reader, treadmill, stop)
        except (LeaseLostError, *DATABASE_AWAY):
            raise
        except Exception:
            # What was taken before it stays taken.
            await self._save()
            raise
        finally:
            await reader.close()
        await self._save()
        return is_end

    async def _bursts(self, reader: PageReader[Sighted], treadmill: Treadmill, stop: asyncio.Event) -> bool:
        ends_at = time.monotonic() + self._connector.burst_seconds
        stopping, coming = asyncio.create_task(stop.wait()), None
        try:
            while True:
                coming = asyncio.create_task(reader.next())
                await self._wait(coming, stopping)
                if not coming.done():
                    return False
                sight = coming.result()
                if sight is None:
                    return True
                sifted = await self._take(sight)
                self._moved()
                treadmill.look(sight.page, fresh=sifted.fresh, again=sifted.again)
                if time.monotonic() >= ends_at:
                    await self._rest(stopping)
                    ends_at = time.monotonic() + self._connector.burst_seconds
                if self._is_paused or stop.is_set():
                    return False
        finally:
            stopping.cancel()
            if coming is not None:
                coming.cancel()

    async def _wait(self, coming: "asyncio.Task[Sighted | None]", stopping: "asyncio.Task[bool]") -> None:
        """Wait for the next page, or until the run is to end. What waits to be saved does not wait for it."""
        waited_for, first = (coming, stopping), asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait(waited_for, timeout=self._unsaved.seconds_left, return_when=first)
        if not done:
            await self._save()
            await asyncio.wait(waited_for, return_when=first)

    async def _rest(self, stopping: "asyncio.Task[bool]") -> None:
        """Leave the source alone between two bursts."""
        await self._save()
        if self._is_paused:
            return
        async with self._place.pool.connection() as connection:
            await self._lease.renew(connection)
            await self._states.set_phase(connection, self._run, "interstitial")
        self.moved_at = time.monotonic() + self._connector.interval_seconds
        await asyncio.wait((stopping,), timeout=self._connector.interval_seconds)
        self._moved()

    async def _take(self, sight: Sighted) -> Sifted:
        """Publish what is new of a page, and save that it was once Kafka has acknowledged it. A page that published
        nothing is saved with those that follow it at once.
        """
        self._place.reached("page.read")
        page, found, result = sight
        moment = Moment(
            now_ms=self._lease.now_ms(), is_full=self._state.is_full, left_out=self._left_out, silent=self._silent
        )
        asked = said(found, self._connector.sieve, moment)
        if self._unsaved.knows(asked.refs):
            await self._save()
        async with self._place.pool.connection() as connection, autocommitting(connection):
            compared = await self._ledger.compare(connection, self._run, asked)
        other = [each for each in found if each.entity_ref in compared.other]
        result.same = result.unchanged = len(found) - len(other)
        sift(other, compared.other, self._connector.sieve, moment, result)
        for place, reason in result.refusals:
            self._log.warning("connector.document_refused", place=place, reason=reason)
        for doubt in page.doubts:
            self._log.warning("connector.without_effect", reason=doubt)
        if result.prepared:
            await self._publish(result)
        self._place.reached("page.published")
        self._unsaved.add(page, result, compared, asked.refs)
        if self._unsaved.is_due:
            await self._save()
        return result

    async def _publish(self, sifted: Sifted) -> None:
        async with self._place.pool.connection() as connection:
            await self._lease.renew(connection)
            await self._ledger.intend(connection, [each.entry for each in sifted.prepared])
        self._place.reached("page.intended")
        self._lease.check()
        await asyncio.to_thread(self._publisher.publish, [each.draft for each in sifted.prepared])

    async def _save(self) -> None:
        """Save what was taken. Not to be tried again when it fails: Postgres may have saved it all the same, and it
        would count twice. The run reads it again.
        """
        run, taken, self._unsaved = self._run, self._unsaved, Unsaved()
        if taken.progress is None:
            return
        async with self._place.pool.connection() as connection, self._lease.proven(connection):
            await self._ledger.write(connection, run, taken.entries)
            await self._ledger.see(connection, run, taken.seen, taken.compared)
            await self._ledger.withdraw(connection, run, taken.withdrawn)
            self._is_paused = await self._states.save_page(connection, run, taken.progress, taken.counts)
        counts = taken.counts
        self._place.metrics.took(self._connector.id, counts.published, counts.unchanged, counts.refused)
        self._place.reached("page.saved")

    async def _progress(self) -> State:
        async with self._place.pool.connection() as connection:
            state = await self._states.read(connection)
            if state.run != self._run:
                await self._states.set_phase(connection, self._run, "sweep")
            return state

    def _doubt(self, state: State) -> None:
        """Tell what of the mapping was without effect, where this run has mapped every entity there is."""
        adding = self._connector.sieve.adding
        if state.mode == "complete" and self._state.pages == 0 and state.published == state.entities:
            for doubt in doubts(
                adding, self._silent, mapped=state.published, left_out=state.filtered, refused=state.refused
            ):
                self._log.warning("connector.without_effect", reason=doubt)

    def _moved(self) -> None:
        self.moved_at = time.monotonic()

    async def _sweep(self, state: State, stop: asyncio.Event) -> int | None:
        sweep = Sweep(self._connector, self._place, self._publisher, self._lease, moved=self._moved)
        return await sweep.absent(self._run, state, stop)


def _shortage(state: State) -> str:
    """Return what is wrong when the run brought less than the source says that it holds, nothing otherwise."""
    seen = state.entities + state.filtered + state.left_out + state.refused
    if state.mode != "complete" or state.total is None or seen >= state.total:
        return ""
    return f"the source says that it holds {state.total:,} entities, and gave {seen:,}: nothing is deleted"


def _raise_if_partial(state: State, shortage: str) -> None:
    """Raise PartialRunError when something could not be read. (What was refused was read.)"""
    unread = sorted(f"{scope or 'all'}: {reason}" for scope, reason in state.unread.items() if reason)
    if unread:
        more = [f"and {len(unread) - _SCOPES_TOLD} more"] if len(unread) > _SCOPES_TOLD else []
        told = "; ".join([*unread[:_SCOPES_TOLD], *more])
        raise PartialRunError(f"not everything could be read, and nothing of it is deleted: {told}")
    if shortage:
        raise PartialRunError(shortage)
