"""The module in a Backstage as the sink sees it, strict about its protocol, and as unreliable as it is told to be."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOCATIONS = ("backstage.io/managed-by-location", "backstage.io/managed-by-origin-location")
MAX_ENTITIES = 1_000
MAX_BYTES = 16 * 1024 * 1024


class BadRequestError(Exception):
    """The body is not what the protocol asks for."""


@dataclass
class Shard:
    entities: dict[str, Any] = field(default_factory=dict)
    hash: str | None = None
    applied_at: str | None = None


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    body: Any


class ModuleServer:
    """Keeps entities per shard. *faults* are answered first, one per request, in order; *refuse* and *foreign*: by
    reference, what is refused and what another provider owns, with the reason."""

    def __init__(self, shards: int = 4, token: str = "") -> None:
        self.token = token
        self.shards = {number: Shard() for number in range(shards)}
        self.refuse: dict[str, str] = {}
        self.foreign: dict[str, str] = {}
        self.faults: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.is_away = False
        self.before_answer: Callable[[Asked], None] | None = None
        self.asked: list[Asked] = []
        self.instance = uuid.uuid4().hex
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def held(self) -> dict[str, Any]:
        """Everything that it holds; an entity in two shards is a fault of whoever put it there."""
        with self._lock:
            found = [each for shard in self.shards.values() for each in shard.entities.items()]
        assert len(dict(found)) == len(found), "an entity is in two shards"
        return dict(found)

    def changes(self) -> list[Asked]:
        """What was asked for that alters something."""
        return [each for each in self.asked if each.method != "GET"]

    def restart(self) -> None:
        """A new process on the same database."""
        self.instance = uuid.uuid4().hex
        for shard in self.shards.values():
            shard.hash = None

    def empty(self) -> None:
        """Somebody dropped its database, and the process did not notice."""
        for shard in self.shards.values():
            shard.entities.clear()

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: Asked) -> tuple[int, Any]:
        with self._lock:
            self.asked.append(asked)
            if asked.path == "/status" and asked.method == "GET":
                return 200, self._status()
            if asked.path == "/changes" and asked.method == "POST":
                return self._changed(asked.body)
            name = asked.path.removeprefix("/shards/")
            if asked.method == "PUT" and name.isdigit():
                return self._put(int(name), asked.body)
        return 404, {"error": "nothing is here"}

    def _status(self) -> dict[str, Any]:
        told = [
            {"shard": number, "hash": shard.hash, "entities": len(shard.entities), "applied_at": shard.applied_at}
            for number, shard in self.shards.items()
        ]
        return {"module_version": "0.1.0", "instance": self.instance, "shards": told}

    def _changed(self, body: Any) -> tuple[int, Any]:
        _require(body, {"shard", "upserts", "removals"})
        if len(body["upserts"]) + len(body["removals"]) > MAX_ENTITIES:
            raise BadRequestError("too many")
        shard = self.shards.get(body["shard"])
        if shard is None:
            return 404, {"error": "no such shard"}
        answer = self._take(shard, body["upserts"])
        for ref in body["removals"]:
            shard.entities.pop(ref, None)
            answer["removed"].append(ref)
        if body["upserts"] or body["removals"]:
            shard.hash = None
        return 200, answer

    def _put(self, number: int, body: Any) -> tuple[int, Any]:
        _require(body, {"entities", "hash"})
        shard = self.shards.get(number)
        if shard is None:
            return 404, {"error": "no such shard"}
        before, shard.entities = shard.entities, {}
        answer = self._take(shard, body["entities"])
        answer["removed"] = sorted(before.keys() - shard.entities.keys())
        shard.hash = body["hash"]
        return 200, answer

    def _take(self, shard: Shard, entities: list[Any]) -> dict[str, list[Any]]:
        answer: dict[str, list[Any]] = {"applied": [], "removed": [], "refused": [], "conflicts": []}
        for entity in entities:
            ref = _ref(entity)
            if ref in self.refuse:
                answer["refused"].append({"entityRef": ref, "reason": self.refuse[ref]})
            elif ref in self.foreign:
                answer["conflicts"].append({"entityRef": ref, "reason": self.foreign[ref]})
            else:
                shard.entities[ref] = entity
                answer["applied"].append(ref)
        return answer


@contextmanager
def module_server(shards: int = 4, token: str = "") -> Iterator[ModuleServer]:
    server = ModuleServer(shards, token)
    try:
        yield server
    finally:
        server.stop()


def status(code: int, headers: Mapping[str, str] | None = None) -> Callable[[BaseHTTPRequestHandler], None]:
    """A fault: answer with *code*."""

    def fault(handler: BaseHTTPRequestHandler) -> None:
        _send(handler, code, {"error": "canary-of-the-answer"}, headers or {})

    return fault


def silence(server: ModuleServer) -> Callable[[BaseHTTPRequestHandler], None]:
    """A fault: the request is taken and never answered."""

    def fault(handler: BaseHTTPRequestHandler) -> None:
        server.released.wait()
        handler.close_connection = True

    return fault


def _ref(entity: Any) -> str:
    """Raises BadRequestError for an envelope that Backstage itself refuses, with all that came with it."""
    if not isinstance(entity, dict) or set(entity) - {"apiVersion", "kind", "metadata", "spec"}:
        raise BadRequestError("no envelope")
    metadata = entity["metadata"]
    annotations = metadata["annotations"]
    if not all(annotations[name].startswith("mainstem:") for name in LOCATIONS):
        raise BadRequestError("no location")
    if metadata.keys() & {"uid", "etag", "generation"}:
        raise BadRequestError("volatile")
    return f"{entity['kind']}:{metadata['namespace']}/{metadata['name']}".lower()


def _require(body: Any, names: set[str]) -> None:
    if not isinstance(body, dict) or set(body) != names:
        raise BadRequestError("not these fields")


def _send(handler: BaseHTTPRequestHandler, code: int, answer: Any, headers: Mapping[str, str]) -> None:
    body = json.dumps(answer).encode()
    handler.send_response_only(code)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients break connections on purpose here."""


def _handler(server: ModuleServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(self.command, self.path.removeprefix("/api/catalog/mainstem"), json.loads(text or b"null"))
            if server.is_away:
                server.asked.append(asked)
                status(503, {"Retry-After": "0"})(self)
            elif server.faults:
                server.asked.append(asked)
                server.faults.pop(0)(self)
            elif server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
                status(401)(self)
            elif len(text) > MAX_BYTES:
                status(413)(self)
            else:
                self._answer(asked)

        def _answer(self, asked: Asked) -> None:
            try:
                code, answer = server.answer(asked)
            except (BadRequestError, KeyError, TypeError, AttributeError):
                status(400)(self)
                return
            if server.before_answer is not None:
                server.before_answer(asked)
            _send(self, code, answer, {})

        do_GET = _serve  # noqa: N815 - http.server looks for these names
        do_POST = _serve  # noqa: N815
        do_PUT = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
