"""Postgres cuts its clients off, ends, is locked, is full of clients."""

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass
from typing import ClassVar, Self

import psycopg

from tests.faults.fault import Fault
from tests.faults.stage import Stage
from tests.patience import granted

_TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mainstem-sink-postgres'"


@dataclass(frozen=True)
class BackendsEnded(Fault):
    """The sink's backends are terminated, again and again."""

    name: ClassVar[str] = "backends-ended"
    times: int

    @property
    def target(self) -> str:
        return "postgres"

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.randint(1, 10))

    def strike(self, stage: Stage) -> str:
        count, deadline = 0, granted() + 60
        with psycopg.connect(stage.facts["postgres"], autocommit=True) as admin:
            while count < self.times:
                assert granted() < deadline, f"only {count} backends in 60 s"
                count += len(admin.execute(_TERMINATE).fetchall())
                time.sleep(0.05)
        return f"{count} backends were terminated"


@dataclass(frozen=True)
class PostgresGone(Fault):
    """Postgres ends at once, without a checkpoint, or is killed, and comes back after some seconds."""

    name: ClassVar[str] = "postgres-gone"
    is_killed: bool
    seconds: float

    @property
    def target(self) -> str:
        return "postgres"

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(rng.random() < 0.5, round(rng.uniform(0, 8), 1))

    def strike(self, stage: Stage) -> str:
        pid = stage.postgres.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL if self.is_killed else signal.SIGQUIT)
        stage.eventually(lambda: not stage.postgres.running, 30)
        time.sleep(self.seconds)
        stage.postgres.start()
        return f"Postgres {pid} ended, {stage.postgres.pid} took its place"


@dataclass(frozen=True)
class TableLocked(Fault):
    """Somebody holds a table that the sink writes, in vain or for longer than the sink waits."""

    name: ClassVar[str] = "table-locked"
    table: str
    seconds: float

    @property
    def target(self) -> str:
        return "postgres"

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        table = rng.choice(("entities", "entity_records", "sink_offsets"))
        return cls(table, rng.choice((3.0, 6.0, 10.0, 35.0)))

    def strike(self, stage: Stage) -> str:
        with psycopg.connect(stage.facts["postgres"]) as holder:
            holder.execute(f"LOCK TABLE {self.table} IN ACCESS EXCLUSIVE MODE")
            time.sleep(self.seconds)
            waiting = holder.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
        return f"{self.table} was locked for {self.seconds} s, {waiting and waiting[0]} waited at the end"


@dataclass(frozen=True)
class ConnectionsExhausted(Fault):
    """Others have all of Postgres' connections, and the sink has lost its own."""

    name: ClassVar[str] = "connections-exhausted"
    seconds: float

    @property
    def target(self) -> str:
        return "postgres"

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        return cls(round(rng.uniform(2, 8), 1))

    def strike(self, stage: Stage) -> str:
        with contextlib.ExitStack() as stack:
            admin = stack.enter_context(psycopg.connect(stage.facts["postgres"], autocommit=True))
            held, deadline = 0, time.monotonic() + self.seconds
            while time.monotonic() < deadline:
                admin.execute(_TERMINATE)
                with contextlib.suppress(psycopg.OperationalError):
                    while True:
                        stack.enter_context(contextlib.closing(psycopg.connect(stage.facts["postgres"])))
                        held += 1
                time.sleep(0.1)
        assert held > 50, f"only {held} connections were taken"
        return f"{held} connections were taken"
