"""Rows as a runner leaves them, in real tables."""

import uuid
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from psycopg import conninfo

from schemas.database import migrate

CLUSTER = "cluster-of-now"
TABLES = "ingestion_state, connector_runs, leases, ingestion_entity_refs, held_deletions, entity_records"


@contextmanager
def migrated(postgres):
    """Yield the DSN of a database with all tables, for the tests of one module: migrating takes a second."""
    name = f"steering_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    dsn = conninfo.make_conninfo(postgres, dbname=name)
    migrate(dsn)
    yield dsn
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def emptied(dsn):
    with psycopg.connect(dsn) as connection:
        connection.execute(f"TRUNCATE {TABLES}")


class Rows:
    """What a runner of one connector has written."""

    def __init__(self, dsn, connector="git"):
        self.dsn, self.connector = dsn, connector

    def state(self, **columns):
        """Write the row of ingestion_state, or change some of its *columns*."""
        columns = {"cluster_id": CLUSTER, **columns}
        names, marks = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
        changed = ", ".join(f"{name} = excluded.{name}" for name in columns)
        self.do(
            f"INSERT INTO ingestion_state (connector, {names}) VALUES (%(connector)s, {marks})"
            f" ON CONFLICT (connector) DO UPDATE SET {changed}",
            **columns,
        )

    def run(self, outcome="complete", **columns):
        """Write a run; return its number."""
        columns = {"mode": "complete", "is_full": False, "trigger": "rest", "outcome": outcome, **columns}
        names, marks = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
        ended = "NULL" if outcome == "running" else "now()"
        return self.one(
            f"INSERT INTO connector_runs (connector, ended_at, {names}) VALUES (%(connector)s, {ended}, {marks})"
            " RETURNING run",
            **columns,
        )[0]

    def begin(self, **columns):
        """Write a run that is under way, and its lease; return its number."""
        number = self.run("running", **columns)
        self.state(run=number, phase="burst")
        self.lease()
        return number

    def lease(self, seconds=30):
        self.do(
            "INSERT INTO leases (name, holder, token, expires_at) VALUES ('connector:' || %(connector)s, 'me', 1,"
            " now() + %(left)s) ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at",
            left=timedelta(seconds=seconds),
        )

    def ledger(self, *names, cluster_id=CLUSTER, hold_id=None):
        for name in names:
            self.do(
                "INSERT INTO ingestion_entity_refs (connector, entity_ref, cluster_id, content_hash, observed_at,"
                " seen_run, hold_id) VALUES (%(connector)s, %(ref)s, %(cluster_id)s, 'h', 1, 1, %(hold_id)s)",
                ref=f"component:default/{name}",
                cluster_id=cluster_id,
                hold_id=hold_id,
            )

    def hold(self, *names, entities=10, state="held", days=7):
        """Hold the deletes of *names*; return the id of the hold."""
        hold_id = self.one(
            "INSERT INTO held_deletions (connector, entities, state, expires_at)"
            " VALUES (%(connector)s, %(entities)s, %(state)s, now() + %(left)s) RETURNING hold_id",
            entities=entities,
            state=state,
            left=timedelta(days=days),
        )[0]
        self.ledger(*names, hold_id=hold_id)
        return hold_id

    def held_state(self, hold_id):
        return self.one("SELECT state, decided_by FROM held_deletions WHERE hold_id = %(hold_id)s", hold_id=hold_id)

    def kept(self):
        """Return (name, is held, is kept) of each entity of the ledger."""
        rows = self.every(
            "SELECT split_part(entity_ref, '/', 2), hold_id IS NOT NULL, kept FROM ingestion_entity_refs"
            " WHERE connector = %(connector)s ORDER BY 1"
        )
        return [tuple(row) for row in rows]

    def read(self, *columns):
        """Return *columns* of the row of ingestion_state; None without one."""
        return self.one(f"SELECT {', '.join(columns)} FROM ingestion_state WHERE connector = %(connector)s")

    def do(self, sql, **parameters):
        with psycopg.connect(self.dsn) as connection:
            connection.execute(sql, {"connector": self.connector, **parameters})

    def one(self, sql, **parameters):
        return next(iter(self.every(sql, **parameters)), None)

    def every(self, sql, **parameters):
        with psycopg.connect(self.dsn) as connection:
            cursor = connection.execute(sql, {"connector": self.connector, **parameters})
            return cursor.fetchall()
