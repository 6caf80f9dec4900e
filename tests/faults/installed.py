"""A running installation as its reader sees it: topics, tables, and what each role has still to do."""

from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition
from psycopg.rows import dict_row

from schemas.topics import Topics
from tests.integration.kill.kafka_io import read_all, remaining
from tests.topics import bounds


class Installed:
    """*facts* are those of the ready-file: where `kafka` and `postgres` are."""

    topics: Topics
    facts: dict[str, Any]

    def read(self, topic: str) -> list[Any]:
        return list(read_all(self.facts["kafka"], topic, self.topics.partitions))

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.facts["postgres"], row_factory=dict_row) as connection:
            return connection.execute(query, parameters).fetchall()

    def entities(self) -> dict[str, dict[str, Any]]:
        return {row["entity_ref"]: row for row in self.rows("SELECT * FROM entities")}

    def lags(self, connectors: Any) -> dict[str, int]:
        """Return what each role has still to do: processor, sink of Postgres, sink of events."""
        kafka = self.facts["kafka"]
        stored = {
            (row["topic"], row["partition"]): row["next_offset"]
            for row in self.rows("SELECT * FROM sink_offsets WHERE sink = 'postgres'")
        }
        group = f"{self.topics.prefix}-sink-incidents"
        consumer = Consumer(
            {"bootstrap.servers": kafka, "group.id": group, "enable.auto.commit": False, "log_level": 0}
        )
        try:
            ends = {
                (topic, at): bounds(consumer, TopicPartition(topic, at))[1]
                for topic in (self.topics.entities, self.topics.changelog)
                for at in range(self.topics.partitions)
            }
            wanted = [TopicPartition(self.topics.entities, at) for at in range(self.topics.partitions)]
            sent = {(one.topic, one.partition): max(0, one.offset) for one in consumer.committed(wanted, timeout=20)}
        finally:
            consumer.close()
        return {
            "processor": remaining(kafka, self.topics, connectors),
            "postgres": sum(end - stored.get(place, 0) for place, end in ends.items()),
            "incidents": sum(ends[place] - offset for place, offset in sent.items()),
        }
