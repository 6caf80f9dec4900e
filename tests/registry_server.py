"""A schema registry as small as one can be: Confluent's API over HTTP, as far as clients of Avro use it."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse


class RegistryServer:
    """Ids count up from 1 over all subjects; one schema has one id. *credentials*: `user:password` to be asked for."""

    def __init__(self, credentials: str = "") -> None:
        self.schemas: dict[int, dict] = {}
        self.subjects: dict[str, list[int]] = {}
        self.asked: list[str] = []
        self._expected = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, after :meth:`stop` on the port of before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _handler(self))
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def away(self):
        self.stop()
        yield
        self.start()

    def add(self, subject: str, schema: dict | str, **fields) -> int:
        """Register without asking whether it fits."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        entry = {"schema": text, **fields}
        wire_id = next((known for known, found in self.schemas.items() if found == entry), len(self.schemas) + 1)
        self.schemas[wire_id] = entry
        versions = self.subjects.setdefault(subject, [])
        if wire_id not in versions:
            versions.append(wire_id)
        return wire_id

    def answer(self, method: str, parts: list[str], body: dict, authorization: str | None) -> tuple[int, object]:
        self.asked.append("/".join([method, *parts]))
        if self._expected is not None and authorization != self._expected:
            return _error(401, 401, "Unauthorized")
        match method, parts:
            case "GET", ["subjects"]:
                return 200, list(self.subjects)
            case "GET", ["schemas", "ids", number]:
                entry = self.schemas.get(int(number))
                return (200, entry) if entry else _error(404, 40403, f"Schema {number} not found")
            case "POST", ["subjects", subject, *rest]:
                return self._register(subject, body) if rest else self._look_up(subject, body)
            case "GET", ["subjects", subject, "versions", version]:
                return self._version(subject, version)
        return _error(404, 404, "Not Found")

    def _register(self, subject: str, body: dict) -> tuple[int, object]:
        try:
            reader = parse(body["schema"])
        except Exception:  # noqa: BLE001 - whatever is wrong with it
            return _error(422, 42201, "Invalid Avro schema")
        newest = self.subjects.get(subject, [])[-1:]
        writers = [parse(self.schemas[wire_id]["schema"]) for wire_id in newest]
        checker = ReaderWriterCompatibilityChecker()
        found = [checker.get_compatibility(reader, writer).compatibility for writer in writers]
        if any(each is not SchemaCompatibilityType.compatible for each in found):
            return _error(409, 409, "Schema being registered is incompatible with an earlier schema")
        return 200, {"id": self.add(subject, body["schema"])}

    def _look_up(self, subject: str, body: dict) -> tuple[int, object]:
        for version, wire_id in enumerate(self.subjects.get(subject, []), 1):
            if self.schemas[wire_id]["schema"] == body["schema"]:
                return 200, {"subject": subject, "id": wire_id, "version": version, "schema": body["schema"]}
        return _error(404, 40403, "Schema not found")

    def _version(self, subject: str, version: str) -> tuple[int, object]:
        ids = self.subjects.get(subject)
        if ids is None:
            return _error(404, 40401, f"Subject '{subject}' not found.")
        number = len(ids) if version == "latest" else int(version)
        if not 0 < number <= len(ids):
            return _error(404, 40402, f"Version {version} not found.")
        wire_id = ids[number - 1]
        return 200, {"subject": subject, "version": number, "id": wire_id, **self.schemas[wire_id]}


def _error(status: int, code: int, message: str) -> tuple[int, object]:
    return status, {"error_code": code, "message": message}


def _handler(registry: RegistryServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", {})

        def do_POST(self) -> None:
            self._answer("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, method: str, body: dict) -> None:
            parts = self.path.partition("?")[0].strip("/").split("/")
            status, found = registry.answer(method, parts, body, self.headers.get("Authorization"))
            data = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args) -> None:  # noqa: A002 - the base class names it
            del format, args

    return Handler
