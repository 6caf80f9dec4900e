"""How many rows the Postgres sink writes at bulk, from Kafka, beside bare COPY and merge of the same rows.

usage: python -m tests.benchmarks.sink_rows [--entities N] [--repeats N] [--crossover]
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
import uuid
from pathlib import Path

import orjson
import psycopg
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry

from mainstem.cluster import Cluster
from mainstem.embedded import EmbeddedKafka, EmbeddedPostgres, default_cache_dir
from schemas import database
from schemas.canonical import canonical_json
from schemas.codec import encode_entity, encode_records
from schemas.entities import MergedEntity
from schemas.metrics import SinkMetrics
from schemas.records import Record, Records
from schemas.refs import parse_entity_key
from schemas.topics import Topics
from sinks.base import DEFAULT_SERVICE_KINDS, Delivery, Limits, SinkSettings
from sinks.postgres import merges
from sinks.postgres.canonical import Standing, Work, carry_out
from sinks.postgres.model import model_of
from sinks.postgres.rows import Rows
from sinks.postgres.sink import _QUERIES, PostgresSink
from sinks.runner import SinkRunner
from streams.merge import merge
from tests.benchmarks.figures import Bench, Figure
from tests.benchmarks.load import CONNECTORS, POLICY, _change

PARTITIONS = 4
NOW = round(time.time() * 1000)
GOAL = 0.5
CANONICAL = ("services", "teams", "service_dependencies", "service_runbooks", "stated_relations")
TABLES = ("entities", "entity_history", *CANONICAL, "entity_records", "sink_offsets", "sink_rebuilds", "sink_seen")


class Timed(PostgresSink):
    """Knows when its first batch was given to it, and when its last one was written."""

    began = ended = 0.0
    rows = 0

    def write(self, batch, positions):
        self.began = self.began or time.perf_counter()
        super().write(batch, positions)
        self.rows += len(batch)
        self.ended = time.perf_counter()


def records_of(number: int) -> tuple[bytes, bytes, bytes]:
    """Return key, merged entity and held records of three connectors' 1.2 kB changes."""
    rng, held = random.Random(number), {}
    for connector in CONNECTORS:
        change = _change(rng, number, connector)
        change["entity"]["metadata"]["namespace"] = "default"
        held[connector] = Record(
            connector=connector,
            generation=0,
            version=1,
            observed_at=NOW,
            timestamp=NOW,
            ttl=None,
            priority=None,
            content_hash="h" * 32,
            content=canonical_json(change),
            id=f"changes/0/{number}",
        )
    found = merge(held.values(), POLICY, now=NOW)
    assert found is not None
    ref = f"component:default/svc-{number}"
    entity = MergedEntity(
        tenant="default",
        entity_ref=ref,
        version=number + 1,
        content_hash=found.content_hash,
        entity=found.entity,
        service=found.service,
        provenance=found.provenance,
        change="created",
        changed=[""],
        stale=[],
        merged_at=NOW,
    )
    return ref.encode(), encode_entity(entity), encode_records(Records(version=number + 1, by_connector=held))


def deliveries(topics: Topics, count: int) -> list[Delivery]:
    found = []
    for number in range(count):
        key, entity, held = records_of(number)
        for topic, value in ((topics.entities, entity), (topics.changelog, held)):
            found.append(
                Delivery(topic=topic, partition=0, offset=number, key=key, value=value, headers=[], timestamp=NOW)
            )
    return found


def publish(bootstrap: str, topics: Topics, found: list[Delivery]) -> None:
    Cluster({"bootstrap.servers": bootstrap}).create(topics.definitions(()))
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2", "linger.ms": 20, "log_level": 0})
    for each in found:
        producer.produce(each.topic, each.value, each.key)
        producer.poll(0)
    assert not producer.flush(120)


def clear(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {', '.join(TABLES)}")
        connection.execute("CHECKPOINT")


def through_the_sink(settings: SinkSettings, count: int) -> float:
    """Return deliveries per second of a sink that reads the topics from their start, its start left out."""
    sink, stop = Timed(settings), threading.Event()
    runner = SinkRunner(sink, metrics=SinkMetrics("postgres", CollectorRegistry()))
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    while sink.rows < count:
        assert thread.is_alive()
        time.sleep(0.05)
    stop.set()
    thread.join()
    return count / (sink.ended - sink.began)


def bare(dsn: str, found: list[Delivery], topics: Topics) -> float:
    """Return deliveries per second when their rows lie ready and nothing but COPY and the merges are left to do."""
    ready = []
    for begin in range(0, len(found), Limits().records):
        rows = Rows()
        for each in found[begin : begin + Limits().records]:
            (rows.add_records if each.topic == topics.changelog else rows.add_entity)(each)
        model = Work()
        for key, row in sorted(rows.upserts.items()):
            standing = Standing(version=row["version"], is_there=True, is_service=False, is_team=False)
            model.add(parse_entity_key(key), model_of(row, DEFAULT_SERVICE_KINDS), standing)
        ready.append(([each for each in rows.statements() if each[0].startswith("upsert")], model))
    with psycopg.connect(dsn, autocommit=True) as connection:
        began = time.perf_counter()
        for statements, model in ready:
            with connection.transaction(), connection.cursor() as cursor:
                for name, values in statements:
                    merges.merge_rows(cursor, name, _QUERIES[name], values)
                carry_out(cursor, model)
        return len(found) / (time.perf_counter() - began)


def crossover(dsn: str, found: list[Delivery]) -> None:
    """Print rows per second of entities for growing batches, one by one and by COPY."""
    entities = found[::2]
    for size in (1, 5, 10, 20, 50, 200):
        figures = []
        for begins_at in (10**9, 0):
            clear(dsn)
            merges.COPY_FROM = begins_at
            sink = PostgresSink(SinkSettings(name="postgres", client={}, dsn=dsn))
            some = entities[: size * 60]
            began = time.perf_counter()
            for begin in range(0, len(some), size):
                sink.write(some[begin : begin + size], {})
            figures.append(len(some) / (time.perf_counter() - began))
            sink.close()
        print(
            f"{size:5} entities at once: {figures[0]:7,.0f} rows/s in a pipeline, {figures[1]:7,.0f} by COPY",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entities", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--crossover", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mst-") as home:
        postgres = EmbeddedPostgres(Path(home))
        kafka = EmbeddedKafka(Path(home), cache_dir=default_cache_dir())
        postgres.start()
        try:
            dsn = postgres.dsn("postgres")
            database.migrate(dsn)
            topics = Topics(prefix=f"b-{uuid.uuid4().hex[:8]}", partitions=PARTITIONS, replication_factor=1)
            found = deliveries(topics, options.entities)
            if options.crossover:
                crossover(dsn, found)
                return
            kafka.start()
            publish(kafka.address, topics, found)
            medians = compare(kafka.address, dsn, topics, found, options.repeats)
            print(orjson.dumps({name: round(each) for name, each in medians.items()}).decode())
            ratio = medians["sink"] / medians["bare"]
            print(f"sink / bare COPY and merge: {ratio:.2f} x rows per second (goal {GOAL} x)", flush=True)
        finally:
            kafka.stop()
            postgres.stop()


def measure(bench: Bench) -> list[Figure]:
    """Benchmark c of `python -m tests.benchmarks`."""
    count = bench.size(20_000, 2_000)
    with tempfile.TemporaryDirectory(prefix="mst-") as home:
        postgres = EmbeddedPostgres(Path(home))
        postgres.start()
        try:
            dsn = postgres.dsn("postgres")
            database.migrate(dsn)
            topics = Topics(prefix=f"b-{uuid.uuid4().hex[:8]}", partitions=PARTITIONS, replication_factor=1)
            found = deliveries(topics, count)
            publish(bench.bootstrap, topics, found)
            bench.say(f"{count:,} entities")
            medians = compare(bench.bootstrap, dsn, topics, found, bench.repeats)
        finally:
            postgres.stop()
    note = f"{count:,} entities and their records; {medians['sink']:,.0f} and {medians['bare']:,.0f} rows/s"
    ratio = medians["sink"] / medians["bare"]
    return [Figure(benchmark="sink-rows", name="beside COPY and merge", value=ratio, unit="x", least=GOAL, note=note)]


def compare(bootstrap: str, dsn: str, topics: Topics, found: list[Delivery], repeats: int) -> dict[str, float]:
    """Return rows per second of the sink and of the bare statements."""
    rows = sum(1 if each.topic == topics.entities else len(CONNECTORS) for each in found) / len(found)
    client = {"bootstrap.servers": bootstrap, "log_level": 0}
    figures: dict[str, list[float]] = {"sink": [], "bare": []}
    for _ in range(repeats):
        clear(dsn)
        figures["bare"].append(rows * bare(dsn, found, topics))
        clear(dsn)
        settings = SinkSettings(name="postgres", topics=topics, client=client, dsn=dsn)
        figures["sink"].append(rows * through_the_sink(settings, len(found)))
    return {name: statistics.median(each) for name, each in figures.items()}


if __name__ == "__main__":
    main()
