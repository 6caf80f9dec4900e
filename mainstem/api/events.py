"""`/v1/events`: what changes, as it happens, as server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import orjson
import psycopg
from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mainstem.access import scopes
from mainstem.access.gate import Caller
from mainstem.access.jwt import KeysUnavailableError
from mainstem.api.access import caller_of
from mainstem.api.database import ask
from mainstem.api.problems import Problem
from mainstem.api.routing import Admitting
from mainstem.events.hub import Hub
from mainstem.events.replay import Replay
from mainstem.events.stream import Stream
from mainstem.events.topic import Event, EventId, TopicReader
from mainstem.publishing import Kafka
from schemas.errors import UnavailableError
from schemas.metrics import ApiMetrics
from schemas.partitions import partition_of

router = APIRouter(prefix="/v1", tags=["history"], route_class=Admitting)

STREAMS_MOST: Final = 500
REPLAYS_MOST: Final = 8
RETRY_MS: Final = 2_000
HEARTBEAT_SECONDS: Final = 15.0
_GAP: Final = "the topic does not hold the event of Last-Event-ID: what came after it is in /v1/history"

_EXAMPLE: Final = """\
retry: 2000

id: component:default/pay@1876951040000001
data: {"change":"deleted","changed":[],"contentHash":null,"entity":null,"entityRef":"component:default/pay",…}

: heartbeat
"""

LastEventId = Annotated[
    str | None,
    Header(
        description="The `id` of the last event that was received: those after it are sent first.",
        examples=["component:default/pay@1876951040000001"],
    ),
]


class Streams:
    """All streams of this process. *kafka* None: whoever asks for one is told that there is none."""

    def __init__(self, kafka: Kafka | None, metrics: ApiMetrics) -> None:
        self._kafka = kafka
        self._metrics = metrics
        self.hub = Hub(self._reader, metrics)
        self._replays = asyncio.Semaphore(REPLAYS_MOST)
        self._open = 0

    async def open(self, request: Request, last: EventId | None) -> Stream:
        """Return a stream that begins behind *last*, or now. Raises Problem 503."""
        if self._open >= STREAMS_MOST:
            raise Problem(503, "Service unavailable", "too many listen here already; try again")
        try:
            replay = None if last is None else await self._missed(request, last)
            stream = Stream(
                self.hub, caller_of(request).tenant, self._closed, has_gap=last is not None and replay is None
            )
            if replay is None:
                await stream.listen()
            else:
                stream.resume(replay)
        except UnavailableError as error:
            raise Problem(503, "Service unavailable", f"{error}; try again") from None
        self._open += 1
        self._metrics.event_streams.inc()
        return stream

    def sent(self, count: int) -> None:
        self._metrics.events_sent.inc(count)

    def _closed(self) -> None:
        self._open -= 1
        self._metrics.event_streams.dec()

    async def _missed(self, request: Request, last: EventId) -> Replay | None:
        # "Not yours" and "not there" look the same.
        if last.tenant != caller_of(request).tenant:
            return None
        rows = await ask(request, "merged_at", ref=last.ref, version=last.version)
        merged_at = round(rows[0]["at"].timestamp() * 1000) if rows else None
        async with self._replays:
            task = asyncio.ensure_future(asyncio.to_thread(self._replay, last, merged_at))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                task.add_done_callback(_close)
                raise

    def _replay(self, last: EventId, merged_at: int | None) -> Replay | None:
        reader = self._reader()
        try:
            found = Replay.begin(reader, last, partition_of(last.key, reader.partitions), merged_at)
        except BaseException:
            reader.close()
            raise
        if found is None:
            reader.close()
        return found

    def _reader(self) -> TopicReader:
        if self._kafka is None:
            raise UnavailableError("this API knows of no Kafka: set kafka.bootstrap_servers")
        return TopicReader(self._kafka.client, self._kafka.topics)


def _close(task: "asyncio.Future[Replay | None]") -> None:
    replay = None if task.cancelled() or task.exception() else task.result()
    if replay is not None:
        asyncio.get_running_loop().run_in_executor(None, replay.close)


class EventStream(StreamingResponse):
    """Closes what it sends from at once, however it ends."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, stream: Stream) -> None:
        # Proxies are asked not to gather.
        super().__init__(lines(request, stream), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()


_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events for as long as somebody listens; `event: gap` when the one of `Last-Event-ID` is gone.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}


@router.get("/events", status_code=200, response_class=EventStream, responses=_ANSWER)
async def events(request: Request, last_event_id: LastEventId = None) -> Response:
    """Send what becomes of services, as it happens: the data of `service.updated`, the `id` its `ce_id`."""
    streams: Streams = request.app.state.streams
    try:
        last = EventId.parse(last_event_id) if last_event_id else None
    except ValueError:
        told = "Last-Event-ID is no id of an event, such as component:default/pay@1876951040000001"
        raise Problem(400, "Bad request", told) from None
    return EventStream(request, await streams.open(request, last))


async def lines(request: Request, stream: Stream) -> AsyncIterator[bytes]:
    """Yield what is sent: what comes, and a comment when nothing has come for a while."""
    caller, quiet_since = caller_of(request), time.monotonic()
    yield b"retry: %d\n\n" % RETRY_MS
    if stream.has_gap:
        yield b"event: gap\ndata: %b\n\n" % orjson.dumps({"reason": _GAP})
    async for found, notices in stream.steps():
        if found or notices:
            quiet_since = time.monotonic()
            yield b"".join([*map(comment, notices), *map(framed, found)])
            request.app.state.streams.sent(len(found))
        elif time.monotonic() - quiet_since >= HEARTBEAT_SECONDS:
            quiet_since = time.monotonic()
            yield comment("heartbeat")
        if not await _may_still(request, caller):
            yield comment("the token no longer holds")
            return


def framed(event: Event) -> bytes:
    lines = b"\n".join(b"data: " + line for line in event.data.splitlines())
    return b"id: %b\n%b\n\n" % (event.id.encode(), lines)


def comment(sentence: str) -> bytes:
    return f": {sentence}\n\n".encode()


async def _may_still(request: Request, caller: Caller) -> bool:
    """Whether the token still holds; as long as nobody can say it, it does."""
    state = request.app.state
    try:
        found: Caller | None = await state.gate.caller(state.pool, request.headers.get("authorization", ""))
    except (psycopg.Error, KeysUnavailableError):
        return True
    return found is not None and found.tenant == caller.tenant and scopes.READ in found.scopes
