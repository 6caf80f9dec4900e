"""The load that every engine gets: 1.2 kB changes of three connectors about 5,000 entities."""

import itertools
import json
import random
from collections.abc import Iterable, Iterator

from confluent_kafka import Producer

from mainstem.cluster import Cluster
from schemas.topics import Topics
from streams.policy import ConnectorPolicy, Policy

PARTITIONS = 8
KEYS = 5_000
CONNECTORS = ("git", "cmdb", "oncall")
POLICY = Policy(
    connectors={
        "git": ConnectorPolicy(priority=50),
        "cmdb": ConnectorPolicy(priority=60, ttl=3_600),
        "oncall": ConnectorPolicy(priority=30, asserts_existence=False),
    }
)


def changes(count: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield (connector, key, value)."""
    rng = random.Random(1)
    for number in range(count):
        entity, connector = rng.randrange(KEYS), CONNECTORS[number % len(CONNECTORS)]
        yield connector, b"component:default/svc-%d" % entity, json.dumps(_change(rng, entity, connector)).encode()


def repeated(count: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield what each connector says about each entity, and then the same again: a resync of what did not change."""
    said = []
    for entity in range(KEYS):
        for connector in CONNECTORS:
            document = _change(random.Random(f"{entity} {connector}"), entity, connector)
            said.append((connector, b"component:default/svc-%d" % entity, json.dumps(document).encode()))
    yield from itertools.islice(itertools.cycle(said), count)


def _change(rng, entity, connector):
    annotations = {f"acme.com/{connector}-{at}": f"{rng.randrange(9)}" + "a" * 30 for at in range(6)}
    metadata = {
        "name": f"svc-{entity}",
        "title": f"Service {entity}",
        "description": f"{connector} {rng.randrange(50)} " + "d" * 120,
        "annotations": annotations,
        "labels": {"tier": str(rng.randrange(4)), "region": "eu"},
        "tags": ["java", f"t{rng.randrange(7)}", "payments"],
        "links": [{"url": f"https://x.example/{entity}/{at}", "title": "Docs"} for at in range(2)],
    }
    spec = {"type": "service", "lifecycle": "production", "owner": f"team-{rng.randrange(50)}", "system": "payments",
            "dependsOn": [f"component:svc-{rng.randrange(KEYS)}" for _ in range(3)]}  # fmt: skip
    service = {"tier": f"tier{rng.randrange(4)}", "slackChannel": "#pay", "dependencies": [{"target": "db"}],
               "runbooks": [{"url": f"https://run.example/{entity}", "title": "Runbook"}]}  # fmt: skip
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec}
    return {"entity": entity, "service": service}


def publish(bootstrap: str, prefix: str, wanted: int | Iterable[tuple[str, bytes, bytes]]) -> None:
    """Make the topics of *prefix* and fill them with what is *wanted*, or so many changes."""
    topics = Topics(prefix=prefix, partitions=PARTITIONS, replication_factor=1)
    Cluster({"bootstrap.servers": bootstrap}).create(topics.definitions(CONNECTORS))
    settings = {"bootstrap.servers": bootstrap, "partitioner": "murmur2", "linger.ms": 20, "log_level": 0}
    producer = Producer({**settings, "queue.buffering.max.messages": 1_000_000})
    for connector, key, value in changes(wanted) if isinstance(wanted, int) else wanted:
        producer.produce(topics.changes(connector), value, key)
        producer.poll(0)
    assert not producer.flush(120)
