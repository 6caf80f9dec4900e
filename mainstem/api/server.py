"""The server in front of the application: it waits for nobody for ever, and says nothing about itself."""

import asyncio
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_CONNECTIONS: Final = 1_000
"""More are answered 503: each holds memory and a file of this process."""
MAX_HEAD_BYTES: Final = 65_536
"""Of a request: its line and its headers, and as many again of what comes after them and is no body."""
ENDING_SECONDS: Final = 5
"""For so long requests may go on when the process is told to end."""
_JOINED_BYTES: Final = 65_536
"""To copy a longer body costs more than to send its head by itself."""


def config_of(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Patient,
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        server_header=False,
        # What a proxy says of its client would be believed, and is asked for by nobody.
        proxy_headers=False,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=ENDING_SECONDS,
    )


class Patient(HttpToolsProtocol):
    """Closes a connection that has sent no whole head of a request in time, or one that is too long, or too much that
    is no body after it: uvicorn itself waits for ever, and keeps what comes.
    """

    head_seconds = 10.0
    _giving_up: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        # What is read to its end, as it is parsed, counts from nothing again.
        self._head_bytes += len(data)
        super().data_received(data)
        self._watch()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are no headers: they come when it is decided who asks.
        if not self._is_in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        # After the answer to HEAD comes nothing that would send it on.
        if self.scope["method"] != "HEAD":
            self.cycle.transport = Joined(self.transport)
        self._is_in_body = True
        self._head_bytes = 0

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._head_bytes = 0

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_body = False
        self._head_bytes = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        is_asked = self.cycle and not self.cycle.response_complete  # type: ignore[truthy-bool] # None before the first
        if self._head_bytes > MAX_HEAD_BYTES:
            if is_asked or self._is_in_body:
                self.transport.close()
            else:
                self.send_400_response("The head of the request is too long.")
        elif is_asked:
            self._stop()
        elif self._giving_up is None:
            # A body that was answered before its end is read on and dropped: closing at once could lose the answer.
            self._giving_up = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


class Joined(asyncio.Transport):
    """Sends the head of an answer together with the body; by itself where none follows in the same turn of the loop.
    uvicorn writes them one after the other, and each would be sent alone.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._head: bytes | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._head is None:
            self._head = bytes(data)
            asyncio.get_running_loop().call_soon(self._send_head)
        elif self._head and len(data) <= _JOINED_BYTES:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        else:
            self._send_head()
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""
