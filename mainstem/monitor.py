"""What a role says about itself over HTTP, on loopback: `/livez`, `/readyz` and `/metrics`."""

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import orjson
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from schemas.errors import UnavailableError

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""What a client of monitors trusts: nobody, as they speak plain HTTP. The default loads all certificates of the machine
for each client, 20 ms in which the API would answer nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a role does its work. Ready means progress, or nothing to do; not that a process exists."""

    is_ready: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


class Monitor:
    """A small server on a thread of its own; it ends with the process."""

    def __init__(self, ready: Callable[[], Readiness], *, host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(ready))
        except OSError as error:
            raise UnavailableError(f"the monitor cannot listen on {host}:{port}: {error.strerror}") from None
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="monitor", daemon=True).start()

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"


def _handler(ready: Callable[[], Readiness]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/livez":
                self._answer(200, b'{"status":"alive"}', "application/json")
            elif self.path == "/readyz":
                found = ready()
                body = orjson.dumps({"status": "ready" if found.is_ready else "not ready", **found.detail})
                self._answer(200 if found.is_ready else 503, body, "application/json")
            elif self.path == "/metrics":
                self._answer(200, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)
            else:
                self._answer(404, b"{}", "application/json")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            del format, args

    return Handler
