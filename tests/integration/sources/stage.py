"""A connector on a topic and a database of its own, its runs, and what they left there."""

import asyncio
import json
import uuid
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, TopicPartition
from prometheus_client import CollectorRegistry
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from mainstem.cluster import Cluster
from schemas.metrics import ConnectorMetrics
from schemas.topics import Topics
from sources.base import Source
from sources.connector import Connector, Place
from sources.guard import Limits
from sources.mapping import Mapper, MappingSettings
from sources.runner import Runner
from sources.schedule import Schedule
from sources.sieve import Sieve
from tests.topics import bounds

ID = "scripted"


class Stage:
    """*kafka*: bootstrap servers; *dsn*: a database with all tables, and nothing in them;
    *topics*: those of another stage, else its own."""

    def __init__(self, kafka: str, dsn: str, topics: Topics | None = None) -> None:
        self.kafka, self.dsn = kafka, dsn
        self.cluster = Cluster({"bootstrap.servers": kafka})
        self.topics = topics or Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=2, replication_factor=1)
        if topics is None:
            self.cluster.create(self.topics.definitions([ID]))
        self.limits = Limits()
        self.schedule = Schedule(rest=timedelta(hours=1), backoff=(timedelta(seconds=0),))
        self.mapping = MappingSettings(connector=ID)
        self.renewal: timedelta | None = None
        self.is_complete = True
        self.lease_seconds = 30.0
        self.burst_seconds, self.interval_seconds = 10.0, 0.01
        self.cluster_id: str | None = None
        self.reached: Callable[[str], None] = lambda _: None

    def connector(self, source: Source) -> Connector:
        sieve = Sieve(ID, Mapper(self.mapping), is_complete=self.is_complete, renewal=self.renewal)
        return Connector(
            id=ID,
            source=source,
            sieve=sieve,
            schedule=replace(self.schedule, renewal=self.renewal),
            limits=self.limits,
            burst_seconds=self.burst_seconds,
            interval_seconds=self.interval_seconds,
        )

    @asynccontextmanager
    async def place(self, holder: str = "one") -> Any:
        async with AsyncConnectionPool(self.dsn, min_size=1, max_size=6, open=False) as pool:
            yield Place(
                pool=pool,
                client={"bootstrap.servers": self.kafka, "log_level": 0},
                cluster=self.cluster_id or self.cluster.cluster_id(),
                topics=self.topics,
                metrics=ConnectorMetrics(CollectorRegistry()),
                holder=holder,
                lease_seconds=self.lease_seconds,
                reached=self._reach,
            )

    def look(self, source: Source, *, times: int = 1) -> dict[str, Any]:
        """Let a runner look *times* times, which runs what is due; return the connector's row."""

        async def looking() -> None:
            async with self.place() as place:
                runner = Runner(self.connector(source), place)
                await runner.begin()
                for _ in range(times):
                    await runner.look(asyncio.Event())

        asyncio.run(looking())
        return self.state

    def run(self, working: Callable[[Place], Coroutine[Any, Any, Any]]) -> Any:
        async def inner() -> Any:
            async with self.place() as place:
                return await working(place)

        return asyncio.run(inner())

    def _reach(self, label: str) -> None:
        self.reached(label)

    @property
    def state(self) -> dict[str, Any]:
        return self.rows("SELECT * FROM ingestion_state")[0]

    @property
    def runs(self) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM connector_runs ORDER BY run")

    @property
    def ledger(self) -> set[str]:
        return {row["entity_ref"] for row in self.rows("SELECT entity_ref FROM ingestion_entity_refs")}

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as connection:
            answer = connection.execute(query, parameters)
            return answer.fetchall() if answer.description else []

    def changes(self) -> list[dict[str, Any]]:
        """Return every record of the connector's topic, partition by partition, as JSON with `_key`."""
        topic = self.topics.changes(ID)
        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": uuid.uuid4().hex, "log_level": 0})
        found: list[dict[str, Any]] = []
        try:
            for number in range(self.topics.partitions):
                _, end = bounds(consumer, TopicPartition(topic, number))
                consumer.assign([TopicPartition(topic, number, 0)])
                while sum(1 for each in found if each["_partition"] == number) < end:
                    message = consumer.poll(30)
                    assert message is not None
                    assert not message.error()
                    assert message.timestamp()[0] != TIMESTAMP_NOT_AVAILABLE
                    change = json.loads(message.value() or b"null")
                    found.append({**change, "_key": (message.key() or b"").decode(), "_partition": number})
        finally:
            consumer.close()
        return found

    def held(self) -> dict[str, dict[str, Any]]:
        """Return what the processor would hold: of each entity the greatest change, less deletes."""
        greatest: dict[str, dict[str, Any]] = {}
        for change in self.changes():
            if change.get("op") in ("outage", "recovered"):
                continue
            before = greatest.get(change["_key"])
            if before is None or _order(change) >= _order(before):
                greatest[change["_key"]] = change
        return {key: change["entity"] for key, change in greatest.items() if change.get("op") != "delete"}


def _order(change: dict[str, Any]) -> tuple[Any, ...]:
    return change["observedAt"], change.get("op") == "delete"
