"""The server in front of the application: it waits for nobody for ever, and says nothing about itself."""

import asyncio
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_CONNECTIONS: Final = 1_000
"""More are answered 503: each holds memory and a file of this process."""
MAX_HEAD_BYTES: Final = 65_536
"""Of a request: its line and its headers."""
ENDING_SECONDS: Final = 5
"""For so long requests may go on when the process is told to end."""


def config_of(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Patient,
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        server_header=False,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=ENDING_SECONDS,
    )


class Patient(HttpToolsProtocol):
    """Closes a connection that has sent no whole head of a request in time, or one that is too long: uvicorn itself
    waits for ever, and keeps what comes.
    """

    head_seconds = 10.0
    _giving_up: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._watch(0)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch(len(data))

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._is_in_body = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_body = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self, length: int) -> None:
        if self.cycle and not self.cycle.response_complete:  # type: ignore[truthy-bool] # None before the first
            self._stop()
            return
        # A body that was answered before its end is read on and dropped: closing at once could lose the answer.
        self._head_bytes += 0 if self._is_in_body else length
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("The head of the request is too long.")
        elif self._giving_up is None:
            self._giving_up = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop(self) -> None:
        self._head_bytes = 0
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
