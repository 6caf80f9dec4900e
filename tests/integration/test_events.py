"""`/v1/events` on a real Kafka: events as the sink `incidents` sends them, told to all who listen, and resumed."""

import asyncio
import re
import socket
import threading
import time
import uuid
from contextlib import closing, contextmanager, suppress

import httpx2
import orjson
import psycopg
import pytest
from prometheus_client import CollectorRegistry
from psycopg import conninfo, sql

from mainstem.access import tokens
from mainstem.api import events
from mainstem.api.app import Settings, make_app
from mainstem.cluster import Cluster
from mainstem.events import hub
from mainstem.events.topic import TopicReader
from mainstem.publishing import Kafka
from mainstem.roles.api import Server
from schemas.database import migrate
from schemas.topics import Topics
from sinks.base import SinkSettings
from sinks.incidents import IncidentsSink
from tests.integration.deliveries import upsert, vanish
from tests.integration.test_api import serving
from tests.patience import eventually, granted

PATIENCE = 30.0


class Place:
    """Topics of their own, and the sink that writes events into them."""

    def __init__(self, bootstrap, dsn):
        self.dsn = dsn
        self.topics = Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=3, replication_factor=1)
        self.client = {"bootstrap.servers": bootstrap, "log_level": 0}
        Cluster(self.client).create(each for each in self.topics.definitions(()) if each.name.endswith("updated"))
        self._sink = IncidentsSink(SinkSettings(name="incidents", topics=self.topics, client=self.client))
        self._version = 0

    def change(self, *names, tenant="default", size=0):
        """Let so many entities change, one after the other; return the ids of the events."""
        ids = []
        for name in names:
            self._version += 1
            ref, told = f"component:default/{name}", {"service": {"x": "y" * size}, "tenant": tenant}
            self._sink.write([upsert(ref, self._version, merged_at=round(time.time() * 1000), **told)], {})
            ids.append(f"{'' if tenant == 'default' else f'{tenant}|'}{ref}@{self._version}")
        return ids

    def end(self, name):
        self._version += 1
        self._sink.write([vanish(f"component:default/{name}", self._version)], {})

    def settings(self, **more):
        kafka = Kafka(client=self.client, topics=self.topics)
        return {"dsn": self.dsn, "kafka": kafka, "auth": "none", "registry": CollectorRegistry(), **more}

    def close(self):
        self._sink.close()


@pytest.fixture(scope="module")
def place(kafka, postgres):
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = conninfo.make_conninfo(postgres, dbname=name)
    migrate(dsn)
    with closing(Place(kafka, dsn)) as found:
        yield found
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def api(place):
    with serving(**place.settings()) as client:
        yield client


class Listener:
    """Keeps what it is sent; each part of a stream is a dictionary of its fields."""

    def __init__(self, answer):
        self.parts, self.is_over = [], False
        self._answer = answer
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        part = {}
        with suppress(httpx2.HTTPError):  # the test has ended meanwhile
            for line in self._answer.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    part[name] = value
                elif part:
                    self.parts.append(part)
                    part = {}
            self.is_over = True

    @property
    def ids(self):
        return [part["id"] for part in self.parts if "id" in part]

    @property
    def comments(self):
        return [part[""] for part in self.parts if "" in part]

    def wait(self, holds):
        eventually(lambda: holds(self), PATIENCE, lambda: str(self.parts[-5:]), pause=0.02)
        return self


@contextmanager
def listening(api, last=None, **headers):
    headers = {**({"Last-Event-ID": last} if last else {}), **headers}
    with api.stream("GET", "/v1/events", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Listener(answer)


def test_whoever_listens_is_told_what_changes_and_another_tenant_is_not(place, api):
    with listening(api) as one, listening(api) as other:
        place.change("theirs", tenant="acme")
        ids = place.change("pay", "ledger")
        place.end("pay")
        for each in (one, other):
            each.wait(lambda found: len(found.ids) == 3)
    assert one.parts[0] == {"retry": "2000"}
    assert sorted(one.ids[:3]) == sorted(other.ids[:3]) == sorted([*ids, f"component:default/pay@{place._version}"])
    told = {part["id"]: orjson.loads(part["data"]) for part in one.parts if "data" in part}
    assert {name: each["change"] for name, each in told.items()} == dict.fromkeys(ids, "created") | {
        one.ids[-1]: "deleted"
    } | {f"component:default/pay@{place._version}": "deleted"}
    assert told[ids[1]]["entityRef"] == "component:default/ledger"


@pytest.mark.parametrize("kept", [0, 5, 11])
def test_whoever_comes_back_has_missed_nothing(place, api, kept):
    names = [f"n{number}" for number in range(12)]
    with listening(api) as first:
        ids = place.change(*names)
        first.wait(lambda found: len(found.ids) == 12)
    got, missed = first.ids[: kept + 1], place.change(*names)
    with listening(api, got[-1]) as second, listening(api) as other:
        second.wait(lambda found: {*ids, *missed} <= {*got, *found.ids})
        live = place.change("live")
        for each in (second, other):  # what is read anew is quicker than what comes, which the next test would be told
            each.wait(lambda found: live[0] in found.ids)
    assert second.comments == []


@pytest.mark.parametrize("gone", ["component:default/never@7", "acme|component:default/hers@{}"])
def test_an_event_that_the_topic_does_not_hold_for_the_caller_is_a_gap(place, api, gone):
    place.change("hers", tenant="acme")
    with listening(api, gone.format(place._version)) as found:
        found.wait(lambda each: len(each.parts) == 2)
        assert (found.parts[1]["event"], "id" in found.parts[1]) == ("gap", False)
        ids = place.change("pay")
        assert found.wait(lambda each: each.ids).ids == ids


@pytest.mark.parametrize("last", ["pay", "component:default/pay", "component:default/pay@x", "@7", "a:b:c@7", "pay@7"])
def test_an_id_that_no_event_has_is_refused(api, last):
    answer = api.get("/v1/events", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(("is_known", "last"), [(True, {}), (False, {"Last-Event-ID": "component:default/pay@7"})])
def test_without_kafka_nobody_listens(place, is_known, last):
    nowhere = Kafka(client={"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, topics=place.topics)
    with serving(**place.settings(kafka=nowhere if is_known else None)) as api:
        answer = api.get("/v1/events", headers=last)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_a_topic_that_is_not_there_is_told(place):
    kafka = Kafka(client=place.client, topics=Topics(prefix="nobody"))
    with serving(**place.settings(kafka=kafka)) as api:
        answer = api.get("/v1/events")
    assert answer.status_code == 503
    assert "mainstem topics create" in answer.json()["detail"]


def test_whoever_is_too_slow_is_cut_off_alone_and_comes_back(place, monkeypatch):
    registry = CollectorRegistry()
    monkeypatch.setattr(hub, "WAITING_BYTES", 4_000_000)
    with serving(**place.settings(registry=registry)) as api, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect((api.base_url.host, api.base_url.port))
        slow.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        slow.settimeout(PATIENCE)
        got = slow.recv(64)
        with listening(api) as other:
            ids = []
            while len(ids) < 140:
                ids += place.change(*(f"n{number}" for number in range(10)), size=100_000)
                other.wait(lambda found: {*ids} <= {*found.ids})  # noqa: B023 - it is called at once
            assert registry.get_sample_value("mainstem_api_event_streams_cut_total") == 1
        while part := slow.recv(1_000_000):
            got += part
        last = re.findall(rb"^id: (.*)$", got, re.MULTILINE)[-1].decode()
        assert got.rstrip(b"\r\n0").endswith(b": too slow: too much waits; come back with the last id")
        with listening(api, last) as again:
            seen = {each.decode() for each in re.findall(rb"^id: (.*)$", got, re.MULTILINE)}
            again.wait(lambda found: {*ids} <= {*seen, *found.ids})
        assert len(seen) < len(ids)


def test_silence_is_broken_now_and_then(api, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.1)
    with listening(api) as found:
        assert found.wait(lambda each: len(each.comments) == 2).comments[:2] == ["heartbeat", "heartbeat"]


def token(dsn, *scopes):
    async def made():
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            return await tokens.create(connection, tokens.Wanted(scopes=scopes, by="test"))

    return asyncio.run(made())


def test_a_stream_ends_with_its_token(place):
    with serving(**place.settings(auth="tokens")) as api:
        reading, writing = token(place.dsn, "read"), token(place.dsn, "operate")
        assert api.get("/v1/events").status_code == 401
        assert api.get("/v1/events", headers={"Authorization": f"Bearer {writing.token}"}).status_code == 403
        with listening(api, Authorization=f"Bearer {reading.token}") as found:
            with psycopg.connect(place.dsn) as connection:
                connection.execute("UPDATE api_tokens SET revoked_at = now() WHERE id = %s", (reading.id,))
            found.wait(lambda each: each.is_over)
    assert found.comments[-1] == "the token no longer holds"


def test_streams_end_when_the_process_is_told_to(place):
    sock = socket.create_server(("127.0.0.1", 0))
    server = Server(make_app(Settings(**place.settings())))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    with (
        httpx2.Client(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=20) as client,
        listening(client) as found,
    ):
        server.should_exit = True
        began = granted()
        found.wait(lambda each: each.is_over)
        thread.join()
    assert found.comments == ["the API ends; come back with the last id"]
    assert granted() - began < 4


def test_where_a_topic_ends_is_told_at_once_while_it_is_read(kafka):
    place = Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=24, replication_factor=1)
    client = {"bootstrap.servers": kafka, "log_level": 0}
    Cluster(client).create(each for each in place.definitions(()) if each.name.endswith("updated"))
    with closing(TopicReader(client, place)) as reader:
        reader.begin(dict.fromkeys(range(24), 0))
        reader.read(1.0)
        began = granted()
        ends = reader.ends()
        took = granted() - began
    # The broker holds back what it is asked behind a fetch, for half a second: asked for each partition, twelve.
    assert (ends, took < 6) == (dict.fromkeys(range(24), 0), True)
