"""A system that connectors read over HTTP, on a free port: it answers well, or as badly as it is told."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    at: float = field(default_factory=time.monotonic)
    """When, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered. *page*: its number among the pages of a list, from 1, where it is one."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    page: int | None = None


Fault = Callable[["Exchange", Reply], None]
"""Sends something else, or nothing, in place of a good reply."""


class SourceServer:
    """Answers each path with what was put there by :meth:`serve`; everything that was asked is in *asked*.

    :meth:`fail_at` spoils the page of that number, wherever it is asked for, until :meth:`heal` is called.
    """

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.faults: dict[int, tuple[Fault, float]] = {}
        self.ahead = timedelta()
        """How far the server's clock is wrong."""
        self.stopped = threading.Event()
        self._paths: dict[str, Callable[[Request], Reply]] = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, path: str, answer: Callable[[Request], Reply]) -> None:
        """Answer what is asked for at *path*, or below it where it ends with a slash."""
        self._paths[path] = answer

    def fail_at(self, page: int, fault: Fault, *, times: float = float("inf")) -> None:
        """Let *fault* answer for *page* of a list. A path that has no pages is page 0."""
        self.faults[page] = (fault, times)

    def heal(self) -> None:
        self.faults.clear()

    def reply(self, request: Request) -> Reply:
        self.asked.append(request)
        parents = [path for path in self._paths if path.endswith("/") and request.path.startswith(path)]
        answer = self._paths.get(request.path) or self._paths.get(max(parents, key=len, default=""))
        return answer(request) if answer else as_json({"error": "nothing is here"}, status=404)

    def fault_of(self, reply: Reply) -> Fault | None:
        number = reply.page or 0
        fault, times = self.faults.get(number, (None, 0.0))
        if fault is None or times <= 0:
            return None
        self.faults[number] = (fault, times - 1)
        return fault


@contextmanager
def source_server() -> Iterator[SourceServer]:
    server = SourceServer()
    try:
        yield server
    finally:
        server.stop()


def as_json(value: object, *, status: int = 200, page: int | None = None) -> Reply:
    body = json.dumps(value).encode()
    return Reply(status=status, body=body, headers={"Content-Type": "application/json"}, page=page)


class Exchange:
    """One connection, for a fault to spoil."""

    def __init__(self, server: SourceServer, handler: BaseHTTPRequestHandler) -> None:
        self.server = server
        self._handler = handler

    def send(self, reply: Reply, *, length: int | None = None) -> None:
        """Answer with *reply*; *length* is said in place of the body's own."""
        self.head(reply, len(reply.body) if length is None else length)
        self.write(reply.body)

    def head(self, reply: Reply, length: int) -> None:
        handler = self._handler
        handler.send_response_only(reply.status)
        headers = {"Date": format_datetime(datetime.now(UTC) + self.server.ahead, usegmt=True), **reply.headers}
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()

    def write(self, data: bytes) -> None:
        self._handler.wfile.write(data)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait, at most until the server stops; return whether it did."""
        return self.server.stopped.wait(seconds)

    def close(self) -> None:
        self._handler.close_connection = True

    def reset(self) -> None:
        """Break the connection so that the other side is told of an error."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.connection.close()
        self.close()


def with_status(status: int, headers: Mapping[str, str] | None = None) -> Fault:
    def fault(exchange: Exchange, _: Reply) -> None:
        body = b'{"error": {"name": "Spoilt", "message": "canary-of-the-answer"}}'
        exchange.send(Reply(status=status, body=body, headers=headers or {}))

    return fault


def with_body(change: Callable[[bytes], bytes], headers: Mapping[str, str] | None = None) -> Fault:
    """Answer with success and a body made from the good one."""

    def fault(exchange: Exchange, reply: Reply) -> None:
        exchange.send(replace(reply, body=change(reply.body), headers={**reply.headers, **(headers or {})}))

    return fault


def truncated(exchange: Exchange, reply: Reply) -> None:
    """Half of the JSON, as if it were all."""
    exchange.send(replace(reply, body=reply.body[: len(reply.body) // 2]))


def broken_off(exchange: Exchange, reply: Reply) -> None:
    """Half of the JSON, then the end of the connection."""
    exchange.send(replace(reply, body=reply.body[: len(reply.body) // 2]), length=len(reply.body))
    exchange.close()


def html(exchange: Exchange, _: Reply) -> None:
    body = b"<!DOCTYPE html><title>Sign in to canary-of-the-answer</title>"
    exchange.send(Reply(body=body, headers={"Content-Type": "text/html; charset=utf-8"}))


def empty(exchange: Exchange, reply: Reply) -> None:
    exchange.send(replace(reply, body=b""))


def half_open(exchange: Exchange, _: Reply) -> None:
    """The request is taken and never answered."""
    exchange.wait()
    exchange.close()


def trickle(exchange: Exchange, reply: Reply) -> None:
    """A byte now and then, so that no single read is ever too late."""
    exchange.head(reply, len(reply.body))
    for byte in reply.body:
        if exchange.wait(0.02):
            break
        exchange.write(bytes([byte]))
    exchange.close()


def reset(exchange: Exchange, _: Reply) -> None:
    exchange.reset()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients break connections on purpose here."""


def _handler(server: SourceServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url, body = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = server.reply(Request(path=url.path, params=dict(parse_qsl(url.query)), headers=headers, body=body))
            exchange = Exchange(server, self)
            fault = server.fault_of(reply)
            if fault is None:
                exchange.send(reply)
            else:
                fault(exchange, reply)

        do_POST = do_GET  # noqa: N815 - http.server looks for this name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
