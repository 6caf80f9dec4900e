import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import pytest
from theirs.source import DeskSource

from mainstem.testing.sources import PROMISES, SourceSuite
from schemas.errors import ConfigError
from sources.base import Retry, SourceSettings


class Desk(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.services = []
        self.failing_page = None

    def fill(self):
        self.services = [{"name": f"s{number}", "owner": "team-pay", "tier": "tier1"} for number in range(7)]
        return [f"component:default/{service['name']}" for service in self.services]

    @contextmanager
    def failing(self, page):
        self.failing_page = page
        yield
        self.failing_page = None

    def answer(self, limit, after):
        before = [service for service in self.services if service["name"] <= after]
        if len(before) // limit == self.failing_page:
            return 500, {}
        rest = self.services[len(before) :]
        return 200, {"services": rest[:limit], "more": len(rest) > limit, "total": len(self.services)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = dict(parse_qsl(urlsplit(self.path).query))
        status, answer = self.server.answer(int(asked["limit"]), asked.get("after", ""))
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def desk():
    with Desk() as desk:
        Thread(target=desk.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield desk
        desk.shutdown()


def source(**connection):
    return DeskSource(SourceSettings(connector="desk", connection=connection, chunk_size=2, retry=Retry(attempts=1)))


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_the_source_keeps_the_promise(promise, desk):
    promise(SourceSuite(make=lambda: source(base_url=desk.url), fill=desk.fill, failing=desk.failing))


def test_a_desk_without_an_address_is_refused():
    with pytest.raises(ConfigError, match=r"connection\.base_url"):
        source()
