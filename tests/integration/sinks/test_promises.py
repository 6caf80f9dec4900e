"""The sinks that come with Mainstem keep the promises that the shipped kit asks of any sink."""

from contextlib import contextmanager

import orjson
import psycopg
import pytest

from mainstem.testing.sinks import FAULT_PROMISES, PROMISES, Applied, HeldRecord, SinkSubject
from sinks.incidents import IncidentsSink
from sinks.postgres.sink import PostgresSink

ROWS = "SELECT entity_ref, version, CASE WHEN deleted_at IS NULL THEN entity END FROM entities"


RECORDS = "SELECT entity_ref, data_source, source_version FROM entity_records"


@pytest.mark.parametrize("promise", PROMISES + FAULT_PROMISES, ids=lambda promise: promise.__name__)
def test_the_sink_postgres_keeps_the_promise(promise, dsn, stage):
    impatient = psycopg.conninfo.make_conninfo(dsn, options="-c lock_timeout=100ms")
    settings = stage.settings("postgres", impatient)

    def rows():
        with psycopg.connect(dsn) as connection:
            return [Applied(entity_ref=ref, version=at, content=shown) for ref, at, shown in connection.execute(ROWS)]

    def records():
        with psycopg.connect(dsn) as connection:
            found = connection.execute(RECORDS).fetchall()
        return [HeldRecord(entity_ref=ref, connector=connector, version=at) for ref, connector, at in found]

    @contextmanager
    def locked():
        with psycopg.connect(dsn) as connection:
            connection.execute("LOCK TABLE entities, entity_records, sink_offsets IN ACCESS EXCLUSIVE MODE")
            yield

    promise(SinkSubject(make=lambda: PostgresSink(settings), applied=rows, records=records, outage=locked))


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_the_sink_incidents_keeps_the_promise(promise, stage):
    def events():
        ends = stage.ends(stage.topics.service_updated)
        told = [orjson.loads(message.value()) for message in stage.read(stage.topics.service_updated, ends)]
        return [Applied(entity_ref=e["entityRef"], version=e["version"], content=e["entity"]) for e in told]

    settings = stage.settings("incidents", kinds=["component"])
    promise(SinkSubject(make=lambda: IncidentsSink(settings), applied=events, keeps_history=True))
