"""Benchmark d: from a publisher's send to the event on `service.updated`, and to the row in Postgres."""

import json
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.acceptance.running import Up
from tests.benchmarks.figures import Bench, Figure
from tests.benchmarks.load import CONNECTORS

NAME = "latency"
RATE = 500
"""Changes per second."""
KEYS = 2_000
PADDING = "d" * 900
SETTLE_SECONDS = 20.0

_NOTIFY = """
CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_notify('rows', NEW.service->>'sent'); RETURN NEW; END $$;
CREATE TRIGGER told AFTER INSERT OR UPDATE ON entities FOR EACH ROW EXECUTE FUNCTION told();
"""


@dataclass
class Arrivals:
    """When what was sent arrived somewhere: nanoseconds of one clock, by those of the sending."""

    at: dict[int, int] = field(default_factory=dict)

    def note(self, sent: object) -> None:
        if sent:
            self.at.setdefault(int(str(sent)), time.monotonic_ns())

    def milliseconds(self, sent: list[int]) -> list[float]:
        return [(self.at[each] - each) / 1e6 for each in sent if each in self.at]


def measure(bench: Bench) -> list[Figure]:
    """The installation is one of `up`, with a Kafka and a Postgres of its own."""
    seconds, warm = bench.size(60, 6), bench.size(15, 4)
    bench.say("starting an installation")
    config = {"connectors": [{"connector_id": name, "type": "external"} for name in CONNECTORS]}
    up = Up(config)
    events, rows, stop = Arrivals(), Arrivals(), threading.Event()
    try:
        up.start()
        with psycopg.connect(up.facts["postgres"], autocommit=True) as connection:
            connection.execute(_NOTIFY)
        watching = [
            threading.Thread(target=watch, args=(up, arrivals, stop), daemon=True)
            for watch, arrivals in ((_watch_events, events), (_watch_rows, rows))
        ]
        for each in watching:
            each.start()
        bench.say(f"{RATE} changes a second for {warm + seconds} s")
        sent = _publish(up, warm + seconds)[warm * RATE :]
        _settle(lambda: len(events.milliseconds(sent)) == len(rows.milliseconds(sent)) == len(sent))
        stop.set()
        for each in watching:
            each.join()
    finally:
        up.close()
    return [*_figures("service.updated", events, sent), *_figures("the row in Postgres", rows, sent)]


def _figures(name: str, arrivals: Arrivals, sent: list[int]) -> list[Figure]:
    found = sorted(arrivals.milliseconds(sent))
    note = f"{len(found):,} of {len(sent):,} changes at {RATE}/s"
    cuts = statistics.quantiles(found, n=100)
    return [
        Figure(benchmark=NAME, name=f"publish → {name}, p50", value=cuts[49], unit="ms", note=note),
        Figure(benchmark=NAME, name=f"publish → {name}, p99", value=cuts[98], unit="ms", most=500, note=note),
    ]


def _publish(up: Up, seconds: int) -> list[int]:
    """Publish at an even pace; return when each change was sent, which is what it says of itself."""
    producer = Producer({"bootstrap.servers": up.facts["kafka"], "partitioner": "murmur2_random", "linger.ms": 0})
    begin, sent = time.monotonic(), []
    for number in range(seconds * RATE):
        time.sleep(max(0.0, begin + number / RATE - time.monotonic()))
        name, moment = f"svc-{number % KEYS}", time.monotonic_ns()
        metadata = {"name": name, "description": PADDING}
        entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata}
        document = {"entity": entity, "service": {"sent": str(moment)}}
        # One connector per entity: what another one says would hide what this one does.
        connector = CONNECTORS[number % KEYS % len(CONNECTORS)]
        producer.produce(up.topics.changes(connector), json.dumps(document).encode(), f"component:default/{name}")
        producer.poll(0)
        sent.append(moment)
    assert not producer.flush(30)
    return sent


def _watch_events(up: Up, arrivals: Arrivals, stop: threading.Event) -> None:
    settings = {"bootstrap.servers": up.facts["kafka"], "group.id": uuid.uuid4().hex, "fetch.wait.max.ms": 10}
    consumer = Consumer({**settings, "enable.auto.commit": False})
    partitions = range(up.topics.partitions)
    consumer.assign([TopicPartition(up.topics.service_updated, number, 0) for number in partitions])
    while not stop.is_set():
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            arrivals.note(json.loads(message.value())["service"].get("sent"))
    consumer.close()


def _watch_rows(up: Up, arrivals: Arrivals, stop: threading.Event) -> None:
    with psycopg.connect(up.facts["postgres"], autocommit=True) as connection:
        connection.execute("LISTEN rows")
        while not stop.is_set():
            for told in connection.notifies(timeout=0.1):
                arrivals.note(told.payload)


def _settle(is_over: Callable[[], bool]) -> None:
    until = time.monotonic() + SETTLE_SECONDS
    while not is_over() and time.monotonic() < until:
        time.sleep(0.2)
