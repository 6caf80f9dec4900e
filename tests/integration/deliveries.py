"""What a processor publishes, handed to the Postgres sink itself: rows as they come to be, without Kafka."""

import uuid
from contextlib import closing, contextmanager

import orjson
import psycopg
from psycopg import conninfo, sql

from schemas.codec import encode_entity, encode_records
from schemas.database import migrate
from schemas.entities import MergedEntity, Vanished
from schemas.records import Record, Records
from schemas.refs import entity_key
from schemas.topics import Topics
from sinks.base import Delivery, SinkSettings
from sinks.postgres.sink import PostgresSink

TOPICS = Topics()
NOW = 1_700_000_000_000


def opened(dsn, **more):
    return PostgresSink(SinkSettings(name="postgres", topics=TOPICS, client={}, dsn=dsn, **more))


@contextmanager
def catalogue(postgres, deliveries):
    """Yield the DSN of a database that holds what the sink made of *deliveries*."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = conninfo.make_conninfo(postgres, dbname=name)
    migrate(dsn)
    with closing(opened(dsn)) as sink:
        sink.write(deliveries, {})
    yield dsn
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def rows(dsn, query, *values):
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def upsert(
    ref, version, *, spec=None, service=None, metadata=None, provenance=None, stale=(), tenant="default", **told
):
    kind, _, name = ref.replace("default/", "").partition(":")
    body = {"kind": kind.title(), "metadata": {"name": name, "namespace": "default", **(metadata or {})}}
    return delivery(
        TOPICS.entities,
        entity_key(tenant, ref).decode(),
        encode_entity(
            MergedEntity(
                tenant=tenant,
                entity_ref=ref,
                version=version,
                entity={**body, "spec": spec or {}},
                service=service or {},
                provenance=provenance or {"/metadata/name": "git"},
                stale=list(stale),
                **{"content_hash": f"h{version}", "change": "created", "changed": [""], "merged_at": NOW, **told},
            )
        ),
    )


def vanish(ref, version, merged_at=NOW):
    gone = Vanished(tenant="default", entity_ref=ref, version=version, merged_at=merged_at, reason="deleted")
    return delivery(TOPICS.entities, ref, None, gone.headers())


def hold(ref, version, *, content=None, **observed):
    """Return what is held of an entity: of each connector, so many seconds after NOW."""
    said = orjson.dumps(content or {"entity": {"metadata": {}}, "service": {}})
    held = {
        connector: Record(
            connector=connector,
            generation=0,
            version=1,
            observed_at=NOW + seconds * 1000,
            timestamp=NOW,
            ttl=None,
            priority=None,
            content_hash="h",
            content=said,
            id="x",
        )
        for connector, seconds in observed.items()
    }
    return delivery(TOPICS.changelog, ref, encode_records(Records(version=version, by_connector=held)))


def hold_each(ref, version, *, tenant="default", ttl=None, at=NOW, **said):
    """Return what is held of an entity: of each connector its own (entity, service), None for a delete."""
    held = {
        connector: Record(
            connector=connector,
            generation=0,
            version=1,
            observed_at=at,
            timestamp=at,
            ttl=ttl,
            priority=None,
            content_hash="" if told is None else f"h{connector}",
            content=None if told is None else orjson.dumps({"entity": told[0], "service": told[1]}),
            id="x",
        )
        for connector, told in said.items()
    }
    key = entity_key(tenant, ref).decode()
    return delivery(TOPICS.changelog, key, encode_records(Records(version=version, by_connector=held)))


def part(name, service=None, *, spec=None, kind="Component", **metadata):
    """Return what a connector says of an entity, as `hold_each` takes it."""
    named = {"name": name, "namespace": "default", **metadata}
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": named, "spec": spec or {}}
    return entity, service or {}


def delivery(topic, ref, value, headers=()):
    return Delivery(
        topic=topic, partition=0, offset=0, key=ref.encode(), value=value, headers=list(headers), timestamp=NOW
    )
