"""One reader of the events of all tenants, and everybody of this process who listens."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import structlog

from mainstem.events.topic import Event, Positions, TopicReader
from schemas.errors import UnavailableError
from schemas.metrics import ApiMetrics

T = TypeVar("T")

log = structlog.get_logger(__name__)

WAITING_MOST: Final = 1_000
WAITING_BYTES: Final = 8 * 1024 * 1024
"""So much may wait for one who listens. Whoever is slower is cut off, and comes back by `Last-Event-ID`."""
CONFIRM_SECONDS: Final = 15.0
UNCONFIRMED_SECONDS: Final = 240.0
"""A partition whose end nobody has told for so long may hold events that are older than those of the others. Whoever
got these would not be given the older ones when they come back (`replay.MARGIN_MS`): nobody is told anything more."""
_READ_SECONDS: Final = 0.2


class Subscription:
    """What one who listens has yet to get. *starts*: where the events that it gets begin."""

    def __init__(self, tenant: str, starts: Positions) -> None:
        self.tenant = tenant
        self.starts = starts
        self.end_reason: str | None = None
        """A sentence, once nothing more comes."""
        self._waiting: list[Event] = []
        self._notices: list[str] = []
        self._size = 0
        self._is_there = asyncio.Event()

    def put(self, events: Sequence[Event]) -> bool:
        """Return whether there was room."""
        mine = [event for event in events if event.tenant == self.tenant and event.id]
        self._size += sum(len(event.data) for event in mine)
        if len(self._waiting) + len(mine) > WAITING_MOST or self._size > WAITING_BYTES:
            self.end("too slow: too much waits")
            return False
        if mine:
            self._waiting += mine
            self._is_there.set()
        return True

    def notice(self, sentence: str) -> None:
        self._notices.append(sentence)
        self._is_there.set()

    def end(self, reason: str) -> None:
        """What waits is dropped: whoever comes back is given it."""
        self.end_reason = self.end_reason or reason
        self._waiting, self._size = [], 0
        self._is_there.set()

    async def take(self, seconds: float) -> tuple[list[Event], list[str]]:
        """Return events and notices as soon as there are any, none after *seconds* or at the end."""
        try:
            await asyncio.wait_for(self._is_there.wait(), seconds)
        except TimeoutError:
            return [], []
        if self.end_reason is None:
            self._is_there.clear()
        events, notices = self._waiting, self._notices
        self._waiting, self._notices, self._size = [], [], 0
        return events, notices


class Hub:
    """Reads while somebody listens. All but *open_reader* runs in the event loop."""

    def __init__(self, open_reader: Callable[[], TopicReader], metrics: ApiMetrics) -> None:
        self._open_reader = open_reader
        self._metrics = metrics
        self._listening: set[Subscription] = set()
        self._tail: _Tail | None = None
        self._positions: Positions = {}
        self._begins = asyncio.Lock()
        self._is_over = False
        self._left: list[_Tail] = []

    async def subscribe(self, tenant: str) -> Subscription:
        """Return what gives all events of *tenant* from now on. Not to be cancelled. Raises UnavailableError."""
        async with self._begins:
            if self._is_over:
                raise UnavailableError("the API is about to end")
            if self._tail is None:
                tail = _Tail(self, asyncio.get_running_loop())
                self._positions = await asyncio.to_thread(tail.open, self._open_reader)
                self._tail = tail
                tail.start()
            found = Subscription(tenant, dict(self._positions))
            self._listening.add(found)
            return found

    def leave(self, subscription: Subscription) -> None:
        self._listening.discard(subscription)
        if not self._listening:
            self._stop()

    def end(self, reason: str) -> None:
        """End all streams, for good."""
        self._is_over = True
        self._end_all(reason)

    async def close(self) -> None:
        self.end("the API ends")
        for tail in self._left:
            await asyncio.to_thread(tail.join)

    def deliver(self, tail: "_Tail", events: Sequence[Event]) -> None:
        if tail is not self._tail:
            return
        for event in events:
            self._positions[event.partition] = event.offset + 1
        for each in list(self._listening):
            if not each.put(events):
                self._metrics.event_streams_cut.inc()
                self.leave(each)

    def notice(self, tail: "_Tail", sentence: str) -> None:
        if tail is self._tail:
            for each in self._listening:
                each.notice(sentence)

    def fail(self, tail: "_Tail", reason: str) -> None:
        if tail is self._tail:
            self._end_all(reason)

    def _end_all(self, reason: str) -> None:
        for each in self._listening:
            each.end(reason)
        self._listening.clear()
        self._stop()

    def _stop(self) -> None:
        if self._tail is not None:
            self._tail.stop.set()
            self._left = [each for each in self._left if each.is_alive()] + [self._tail]
            self._tail = None


class _Tail(threading.Thread):
    """Reads the end of the topic, and hands it to the event loop."""

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="events", daemon=True)
        self.stop = threading.Event()
        self._hub = hub
        self._loop = loop
        self._reader: TopicReader
        self._goal: tuple[float, Positions] | None = None
        self._positions: Positions = {}
        self._confirmed_at = self._look_at = 0.0
        self._is_away = False

    def open(self, open_reader: Callable[[], TopicReader]) -> Positions:
        """Return where it begins: at the end."""
        reader = open_reader()
        try:
            self._positions = reader.ends()
            reader.begin(self._positions)
        except BaseException:
            reader.close()
            raise
        self._reader = reader
        self._confirmed_at = time.monotonic()
        self._look_at = self._confirmed_at + CONFIRM_SECONDS
        return dict(self._positions)

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                events = self._reader.read(_READ_SECONDS)
                self._positions |= {event.partition: event.offset + 1 for event in events}
                self._confirm()
                if events:
                    self._in_loop(self._hub.deliver, events)
        except UnavailableError as error:
            log.warning("events.ended", reason=str(error))
            self._in_loop(self._hub.fail, "Kafka does not answer")
        finally:
            self._reader.close()

    def _confirm(self) -> None:
        """See to it that what is handed on is not younger than what is not known of. Raises UnavailableError."""
        now = time.monotonic()
        if self._goal is not None and all(self._positions[at] >= end for at, end in self._goal[1].items()):
            self._confirmed_at, self._goal = self._goal[0], None
        if now >= self._look_at:
            self._look_at = now + CONFIRM_SECONDS
            self._look(now)
        if now - self._confirmed_at > UNCONFIRMED_SECONDS:
            raise UnavailableError("the end of a partition is not known any more")

    def _look(self, now: float) -> None:
        was_away = self._is_away
        try:
            ends = self._reader.ends()
        except UnavailableError:
            self._is_away = True
        else:
            self._is_away = False
            self._goal = self._goal or (now, ends)
        if self._is_away is not was_away:
            told = "Kafka does not answer; events follow when it does" if self._is_away else "Kafka answers again"
            self._in_loop(self._hub.notice, told)

    def _in_loop(self, act: Callable[["_Tail", T], None], told: T) -> None:
        """Return when the event loop has done it: what it cannot take yet is not read."""
        done = threading.Event()

        def doing() -> None:
            try:
                act(self, told)
            finally:
                done.set()

        try:
            self._loop.call_soon_threadsafe(doing)
        except RuntimeError:  # the loop is gone, and everybody with it
            self.stop.set()
            return
        while not done.wait(_READ_SECONDS) and not self.stop.is_set():
            pass
