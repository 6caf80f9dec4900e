"""What one listener gets: first what they missed, then what comes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from mainstem.events.hub import Hub, Subscription
from mainstem.events.replay import Replay
from mainstem.events.topic import Event
from schemas.errors import UnavailableError

LOOK_SECONDS: Final = 1.5
"""At least so often a step comes, be it an empty one."""
_CHUNK: Final = 200

Step = tuple[list[Event], list[str]]
"""Events, and sentences for people who look on."""


class Stream:
    """Holds a replay or a subscription, until :meth:`close`. *has_gap*: what was missed is not known."""

    def __init__(self, hub: Hub, tenant: str, closed: Callable[[], None], *, has_gap: bool = False) -> None:
        self.has_gap = has_gap
        self._hub = hub
        self._tenant = tenant
        self._closed: Callable[[], None] | None = closed
        self._replay: Replay | None = None
        self._subscription: Subscription | None = None

    async def listen(self) -> None:
        """Begin with what comes from now on. Raises UnavailableError."""
        task = asyncio.ensure_future(self._hub.subscribe(self._tenant))
        try:
            self._subscription = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_leaving(self._hub))
            raise

    def resume(self, replay: Replay) -> None:
        self._replay = replay

    async def steps(self) -> AsyncIterator[Step]:
        """Yield until the end of the stream, and say why it ends."""
        try:
            async for events in self._missed():
                yield events, []
        except UnavailableError:
            yield [], ["Kafka does not answer; come back with the last id"]
            return
        seen = {} if self._replay is None else self._replay.positions
        self._close_replay()
        subscription = self._subscription
        assert subscription is not None
        while subscription.end_reason is None:
            events, notices = await subscription.take(LOOK_SECONDS)
            yield [event for event in events if event.offset >= seen.get(event.partition, 0)], notices
        yield [], [f"{subscription.end_reason}; come back with the last id"]

    def close(self) -> None:
        """Let go of everything. May be called at any moment, and again."""
        self._close_replay()
        if self._subscription is not None:
            self._hub.leave(self._subscription)
        if self._closed is not None:
            self._closed()
            self._closed = None

    async def _missed(self) -> AsyncIterator[list[Event]]:
        replay = self._replay
        if replay is None:
            return
        async for events in self._rest(replay):
            yield events
        # What came meanwhile is read before anything has to wait in the subscription.
        await asyncio.to_thread(replay.look_again)
        async for events in self._rest(replay):
            yield events
        await self.listen()
        assert self._subscription is not None
        replay.go_on(self._subscription.starts)
        async for events in self._rest(replay):
            yield events

    async def _rest(self, replay: Replay) -> AsyncIterator[list[Event]]:
        while not replay.is_done:
            found = await asyncio.to_thread(replay.chunk, _CHUNK)
            yield [event for event in found if event.id and event.tenant == self._tenant]

    def _close_replay(self) -> None:
        if self._replay is not None:
            # It may be reading: not waited for.
            asyncio.get_running_loop().run_in_executor(None, self._replay.close)
            self._replay = None


def _leaving(hub: Hub) -> Callable[["asyncio.Future[Subscription]"], None]:
    def leave(task: "asyncio.Future[Subscription]") -> None:
        if not task.cancelled() and task.exception() is None:
            hub.leave(task.result())

    return leave
