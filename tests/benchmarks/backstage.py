"""Benchmark h: how long a Backstage takes to accept a catalogue from the sink, and to show one change."""

import json
import random
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import psycopg
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry
from psycopg import conninfo

from mainstem.embedded import EmbeddedPostgres
from schemas import database
from schemas.codec import decode_entity
from schemas.metrics import SinkMetrics
from schemas.topics import Topics
from sinks.backstage.descriptors import located
from sinks.backstage.sink import BackstageSink
from sinks.base import Delivery, SinkSettings
from sinks.runner import SinkRunner
from tests.acceptance.running import Up
from tests.backstage.backstage import SHARDS, Backstage
from tests.backstage.npm import MODULE_NAME, available, install_module, installed_backend
from tests.benchmarks.figures import Bench, Figure
from tests.benchmarks.sink_rows import deliveries, publish

NAME = "backstage"
AT_ONCE = 1_000
"""Entities of a bare mutation, as many as a delta of the sink has at most."""
PAUSE_SECONDS = 1.0
SHOWN_SECONDS = 60.0

_NOTIFY = """
CREATE FUNCTION shown() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_notify('shown', NEW.final_entity::jsonb #>> '{metadata,description}'); RETURN NEW; END $$;
CREATE TRIGGER shown AFTER INSERT OR UPDATE OF final_entity ON final_entities
FOR EACH ROW WHEN (NEW.final_entity IS NOT NULL AND NEW.final_entity <> '') EXECUTE FUNCTION shown();
"""


class Timed(BackstageSink):
    """Knows when its first batch was given to it, and when Backstage had accepted its last one."""

    began = ended = 0.0
    carried = 0

    def write(self, batch, positions):
        self.began = self.began or time.perf_counter()
        super().write(batch, positions)
        self.carried += len(batch)
        self.ended = time.perf_counter()


def measure(bench: Bench) -> list[Figure]:
    if not available():
        bench.say("Node.js and npm are not on this machine: nothing to measure")
        return []
    with tempfile.TemporaryDirectory(prefix="mst-") as home, running(Path(home)) as (backstage, postgres):
        return [*_bulk(bench, backstage, postgres), *_one_change(bench, backstage, postgres)]


@contextmanager
def running(home: Path) -> Iterator[tuple[Backstage, EmbeddedPostgres]]:
    install_module(home / "site")
    postgres = EmbeddedPostgres(home)
    postgres.start()
    backstage = Backstage(installed_backend(), home / "site" / MODULE_NAME, postgres.dsn("postgres"), is_measured=True)
    try:
        yield backstage.start(), postgres
    finally:
        backstage.close()
        postgres.stop()


# -- a whole catalogue


def _bulk(bench: Bench, backstage: Backstage, postgres: EmbeddedPostgres) -> list[Figure]:
    count = bench.size(10_000, 1_000)
    topics = Topics(prefix=f"b-{uuid.uuid4().hex[:8]}", partitions=4, replication_factor=1)
    found = [each for each in deliveries(topics, count) if each.topic == topics.entities]
    publish(bench.bootstrap, topics, found)
    entities = [emitted(each) for each in found]
    seconds: dict[str, list[float]] = {"bare": [], "sink": []}
    for number in range(bench.repeats):
        bench.say(f"{count:,} entities, {number + 1} of {bench.repeats}")
        backstage.empty_database()
        seconds["bare"].append(mutated(backstage, entities))
        backstage.empty_database()
        dsn = _new_database(postgres, f"bulk_{number}")
        client = {"bootstrap.servers": bench.bootstrap, "log_level": 0}
        settings = SinkSettings(
            name="backstage", topics=topics, client=client, dsn=dsn, options=_options(backstage), registry=None
        )
        seconds["sink"].append(_through_the_sink(replace(settings, secret=lambda _: backstage.token), count))
    bare, sink = (statistics.median(seconds[name]) for name in ("bare", "sink"))
    note = f"{count:,} entities: {sink:.1f} s, and {bare:.1f} s as bare mutations of {AT_ONCE:,}"
    return [Figure(benchmark=NAME, name="bulk beside bare mutations", value=sink / bare, unit="x", most=1.2, note=note)]


def emitted(delivery: Delivery) -> dict[str, Any]:
    assert delivery.value is not None
    return located(decode_entity(delivery.value).entity, "mainstem:catalog")


def _options(backstage: Backstage) -> dict[str, Any]:
    auth = {"type": "bearer_token", "secret_ref": "env:FED_TOKEN"}
    return {"base_url": backstage.url, "auth": auth, "shards": SHARDS}


def _through_the_sink(settings: SinkSettings, count: int) -> float:
    """Return for how many seconds a sink that reads the topic from its start fed, its own start left out."""
    sink, stop = Timed(settings), threading.Event()
    runner = SinkRunner(sink, metrics=SinkMetrics("backstage", CollectorRegistry()))
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    while sink.carried < count:
        assert thread.is_alive()
        time.sleep(0.05)
    stop.set()
    thread.join()
    return sink.ended - sink.began


def mutated(backstage: Backstage, entities: list[dict[str, Any]]) -> float:
    """Return for how many seconds a bare loop of mutations ran, in Backstage's own process."""
    headers = {"Authorization": f"Bearer {backstage.token}"}
    body = {"entities": entities, "atOnce": AT_ONCE}
    answer = httpx2.post(f"{backstage.url}/api/catalog/bare", json=body, headers=headers, timeout=600)
    return answer.raise_for_status().json()["milliseconds"] / 1_000


def _new_database(postgres: EmbeddedPostgres, name: str) -> str:
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    dsn = conninfo.make_conninfo(postgres.dsn("postgres"), dbname=name)
    database.migrate(dsn)
    return dsn


# -- one change


def _one_change(bench: Bench, backstage: Backstage, postgres: EmbeddedPostgres) -> list[Figure]:
    count = bench.size(200, 10)
    backstage.empty_database()
    with psycopg.connect(postgres.dsn("postgres"), dbname=f"{backstage.prefix}catalog", autocommit=True) as watching:
        watching.execute(_NOTIFY)
        watching.execute("LISTEN shown")
        bench.say(f"{count} changes, alone")
        alone = _shown_after(watching, lambda told: mutated(backstage, [_told(told)]), count)
        bench.say(f"{count} changes, published")
        with _feeding(bench, backstage, _new_database(postgres, "one")) as send:
            published = _shown_after(watching, send, count)
    note = f"{count} changes, one at a time; alone {alone[0]:,.0f} ms at p50, {alone[1]:,.0f} ms at p99"
    most = alone[0] + 300
    return [
        Figure(benchmark=NAME, name="publish → shown, p50", value=published[0], unit="ms", most=most, note=note),
        Figure(benchmark=NAME, name="publish → shown, p99", value=published[1], unit="ms", note=note),
    ]


def _shown_after(watching: psycopg.Connection, send: Callable[[str], object], count: int) -> tuple[float, float]:
    """Return the milliseconds, p50 and p99, from a sending to what Backstage shows; the first one warms up."""
    found = []
    for _ in range(count + 1):
        told = uuid.uuid4().hex
        # Backstage looks for work once a second: not always at the same time after it has found some.
        time.sleep(random.random() * PAUSE_SECONDS)
        began = time.perf_counter()
        send(told)
        shown = any(each.payload == told for each in _until(watching, told))
        found.append((time.perf_counter() - began) * 1_000)
        assert shown, f"not shown within {SHOWN_SECONDS} s"
    cuts = statistics.quantiles(found[1:], n=100)
    return cuts[49], cuts[98]


def _until(watching: psycopg.Connection, told: str) -> Iterator[psycopg.Notify]:
    for each in watching.notifies(timeout=SHOWN_SECONDS):
        yield each
        if each.payload == told:
            return


def _told(text: str) -> dict[str, Any]:
    metadata = {"name": "alone", "namespace": "default", "description": text}
    spec = {"type": "service", "lifecycle": "production", "owner": "team-pay"}
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec}
    return located(entity, "mainstem:catalog")


@contextmanager
def _feeding(bench: Bench, backstage: Backstage, dsn: str) -> Iterator[Callable[[str], None]]:
    """Yield what publishes one change to an installation that feeds *backstage*."""
    topics = Topics(prefix=f"b-{uuid.uuid4().hex[:8]}", partitions=4, replication_factor=1)
    config = {
        "kafka": {"bootstrap_servers": bench.bootstrap},
        "postgres": {"dsn": dsn},
        "topics": {"prefix": topics.prefix, "partitions": 4, "replication_factor": 1},
        "connectors": [{"connector_id": "git", "type": "external"}],
        "sinks": {"backstage": {"enabled": True, **_options(backstage)}},
    }
    up = Up(config, environment={"FED_TOKEN": backstage.token})
    producer = Producer({"bootstrap.servers": bench.bootstrap, "partitioner": "murmur2_random", "linger.ms": 0})

    def send(text: str) -> None:
        entity = _told(text)
        entity["metadata"]["name"] = "published"
        document = json.dumps({"entity": entity})
        producer.produce(topics.changes("git"), document, "component:default/published")
        assert not producer.flush(30)

    try:
        up.start()
        yield send
    finally:
        up.close()
