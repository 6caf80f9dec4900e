"""Topics and a worker of their own on a shared broker, as a test sees them from outside."""

import json
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from mainstem.cluster import Cluster
from schemas.codec import decode_entity
from schemas.topics import Topics
from tests.integration.kill.kafka_io import Sent, produce_and_wait, read_all, remaining
from tests.integration.kill.process import WorkerProcess
from tests.patience import eventually

RIGHT = object()


class Installation:
    """*connectors*: id to the fields of its ConnectorPolicy. Everything has a prefix of its own."""

    def __init__(self, bootstrap: str, connectors: Mapping[str, Mapping[str, Any]], partitions: int = 4) -> None:
        self.bootstrap = bootstrap
        self.topics = Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=partitions, replication_factor=1)
        self.connectors = list(connectors)
        self.cluster = Cluster({"bootstrap.servers": bootstrap})
        self.cluster.create(self.topics.definitions(connectors))
        self._producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random",
                                   "message.max.bytes": 8_000_000, "log_level": 0})  # fmt: skip
        self._home = tempfile.TemporaryDirectory(prefix="mst-engine-")
        settings = {"bootstrap": bootstrap, "prefix": self.topics.prefix, "partitions": partitions,
                    "session_timeout": 10.0, "connectors": dict(connectors)}  # fmt: skip
        self.worker = WorkerProcess(settings, Path(self._home.name) / "worker")

    def close(self) -> None:
        self.worker.kill()
        self._home.cleanup()

    def put(self, connector: str, document: Any, key: Any = RIGHT, **options: Any) -> Sent:
        """Publish a change. *key*: bytes or None; by default the right one. *options* are those of Producer.produce."""
        value = document if isinstance(document, bytes | None) else json.dumps(document).encode()
        if key is RIGHT:
            key = _key(document)
        return produce_and_wait(self._producer, self.topics.changes(connector), value, key, **options)

    def put_compressed(self, connector: str, value: bytes, key: bytes) -> Sent:
        """Publish *value* of any size, so long as little is left of it when compressed."""
        settings = {
            "bootstrap.servers": self.bootstrap,
            "compression.type": "gzip",
            "message.max.bytes": 100_000_000,
            "log_level": 0,
        }
        return produce_and_wait(Producer(settings), self.topics.changes(connector), value, key)

    def configure(self, *, revision: int = 0, **connectors: Mapping[str, Any]) -> None:
        """Give the worker another policy, from its next start on."""
        self.worker.settings |= {"revision": revision}
        self.worker.settings["connectors"] = {**self.worker.settings["connectors"], **connectors}

    def control(self, connector: str, op: str) -> int:
        """Let *connector* say *op* of itself to every partition; return the moment in epoch ms."""
        now = int(time.time() * 1000)
        for partition in range(self.topics.partitions):
            self.put(connector, {"op": op, "observedAt": now}, connector.encode(), partition=partition)
        return now

    def queue(self, connector: str, document: Any) -> None:
        """Publish a change without waiting; :meth:`flush` does."""
        self._producer.produce(self.topics.changes(connector), json.dumps(document).encode(), _key(document))
        self._producer.poll(0)

    def flush(self) -> None:
        assert not self._producer.flush(60)

    def write(self, topic: str, value: bytes | None, key: bytes, **options: Any) -> Sent:
        return produce_and_wait(self._producer, topic, value, key, **options)

    def read(self, topic: str) -> list[Any]:
        return list(read_all(self.bootstrap, topic, self.topics.partitions))

    def writes(self, name: str) -> list[Any]:
        """Return all that was published of component:default/<name>: entities, and messages for tombstones."""
        key = f"component:default/{name}".encode()
        messages = [each for each in self.read(self.topics.entities) if each.key() == key]
        return [each if each.value() is None else decode_entity(each.value()) for each in messages]

    def entity(self, name: str, seconds: float = 30) -> Any:
        """Wait until component:default/<name> exists; return it as it stands."""
        return self.eventually(lambda: self.writes(name)[-1:], seconds)[0]

    def eventually(self, found: Callable[[], Any], seconds: float = 30) -> Any:
        """Return what *found* returns as soon as that is true."""
        return eventually(found, seconds, lambda: f"the worker: {self.worker.output()[-3000:]}", pause=0.1)

    def settle(self, seconds: float = 60) -> None:
        """Wait until all changes are committed."""
        self.eventually(self.is_settled, seconds)

    def is_settled(self) -> bool:
        return remaining(self.bootstrap, self.topics, self.connectors) == 0


def component(name: str, *, spec: Any = None, service: Any = None, **fields: Any) -> dict[str, Any]:
    """Return an upsert."""
    metadata = {"name": name}
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec or {}}
    return {"entity": entity, **({"service": service} if service else {}), **fields}


def _key(document: Any) -> bytes | None:
    if not isinstance(document, dict):
        return b"none"
    if "entityRef" in document:
        return document["entityRef"].encode()
    return f"component:default/{document['entity']['metadata']['name'].lower()}".encode()
