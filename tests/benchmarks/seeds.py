"""A changelog as a processor would have left it, written straight to its topic: a million entities in half a minute."""

import time
from dataclasses import replace
from typing import Final

from confluent_kafka import Producer

from mainstem.cluster import Cluster
from schemas.canonical import canonical_json, content_hash
from schemas.codec import encode_records
from schemas.records import Record, Records
from schemas.topics import Topics
from streams.intake import partition_of
from streams.merge import merge
from streams.rollout import PolicyRecord
from streams.table import DEADLINE_HEADER, POLICY_KEY
from tests.benchmarks.load import CONNECTORS, PARTITIONS, POLICY

CONNECTOR: Final = "git"
_VERSION: Final = 1 << 20
_NO_DEADLINE: Final = [(DEADLINE_HEADER, b"")]
_NAME: Final = b"NAME-OF-THE-ENTITY"


def name_of(number: int) -> str:
    return f"svc-{number}"


def key_of(number: int) -> bytes:
    return b"component:default/svc-%d" % number


def make_topics(bootstrap: str, prefix: str) -> Topics:
    topics = Topics(prefix=prefix, partitions=PARTITIONS, replication_factor=1)
    Cluster({"bootstrap.servers": bootstrap}).create(topics.definitions(CONNECTORS))
    return topics


def seed(bootstrap: str, changelog: str, keys: int, *, size: int) -> int:
    """Write the states of *keys* entities of about *size* bytes each; return how many bytes they have together."""
    settings = {"bootstrap.servers": bootstrap, "linger.ms": 50, "batch.size": 1_000_000, "log_level": 0}
    producer = Producer({**settings, "queue.buffering.max.messages": 1_000_000, "message.max.bytes": 8_000_000})
    template, written = _template(size), 0
    for number in range(keys):
        key, value = key_of(number), _state(template, number)
        written += len(value)
        while True:
            try:
                producer.produce(changelog, value, key, partition_of(key, PARTITIONS), headers=_NO_DEADLINE)
            except BufferError:
                producer.poll(0.1)
            else:
                break
        if number % 1_000 == 0:
            producer.poll(0)
    # All is merged under this policy already: nothing is to be rolled out.
    in_force = PolicyRecord(version=1, fingerprint=content_hash(POLICY.fingerprint.encode()))
    for partition in range(PARTITIONS):
        producer.produce(changelog, in_force.encode(), POLICY_KEY, partition)
    assert not producer.flush(120)
    return written


def _template(size: int) -> Records:
    """Return the state of an entity of one connector, in which only name and hashes are still to be set."""
    padding = max(0, size - len(encode_records(_with_text(0))))
    held = _with_text(padding)
    entity = merge(held.by_connector.values(), POLICY, now=held.merged_at)
    return replace(held, view_hash=entity.view_hash if entity else "")


def _with_text(length: int) -> Records:
    now = time.time_ns() // 1_000_000
    metadata = {"name": _NAME.decode(), "namespace": "default", "description": "d" * length}
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata}
    content = canonical_json({"entity": entity, "service": {}})
    record = Record(connector=CONNECTOR, generation=0, version=now, observed_at=now, timestamp=now, ttl=None,
                    priority=None, content_hash=content_hash(content), content=content, id="t/0/0")  # fmt: skip
    return Records(version=_VERSION, merged_at=now, content_hash=record.content_hash, by_connector={CONNECTOR: record})


def _state(template: Records, number: int) -> bytes:
    record = template.by_connector[CONNECTOR]
    content = (record.content or b"").replace(_NAME, name_of(number).encode())
    hashed = content_hash(content)
    held = replace(record, content=content, content_hash=hashed)
    return encode_records(
        replace(template, version=_VERSION + number, content_hash=hashed, by_connector={CONNECTOR: held})
    )
