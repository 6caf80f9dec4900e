"""How fast a connector takes in a catalogue, and how much memory it takes, beside a client that only reads the pages.

usage: python -m tests.benchmarks.connectors DSN KAFKA PORT, one measured process; see :func:`measure` for the whole.
"""

import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
from prometheus_client import CollectorRegistry
from psycopg_pool import AsyncConnectionPool

from mainstem.cluster import Cluster
from mainstem.embedded import EmbeddedPostgres
from schemas.database import migrate
from schemas.metrics import ConnectorMetrics
from schemas.topics import Topics
from sources.backstage import LIST, BackstageSource
from sources.base import SourceSettings
from sources.connector import Connector, Place
from sources.mapping import Mapper, MappingSettings
from sources.runner import Runner
from sources.schedule import Schedule
from sources.sieve import Sieve
from tests.benchmarks.figures import Bench, Figure

ID = "bench"
GOAL, GROWTH_MB = 0.5, 50


async def _bare(port: int) -> float:
    """Return the seconds that it takes to read every page and make JSON of it."""
    began, cursor = time.perf_counter(), None
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        while True:
            answer = await client.get(LIST, params={"limit": 500, **({"cursor": cursor} if cursor else {})})
            cursor = answer.json()["pageInfo"].get("nextCursor")
            if cursor is None:
                return time.perf_counter() - began


def _connector(port: int) -> Connector:
    settings = SourceSettings(connector=ID, connection={"base_url": f"http://127.0.0.1:{port}"}, chunk_size=500)
    return Connector(
        id=ID,
        source=BackstageSource(settings),
        sieve=Sieve(ID, Mapper(MappingSettings(connector=ID))),
        schedule=Schedule(rest=timedelta(seconds=0)),
        burst_seconds=300,
    )


@asynccontextmanager
async def _place(dsn: str, kafka: str, topics: Topics) -> AsyncIterator[Place]:
    async with AsyncConnectionPool(dsn, min_size=1, max_size=4, open=False) as pool:
        yield Place(
            pool=pool,
            client={"bootstrap.servers": kafka, "log_level": 0},
            cluster=Cluster({"bootstrap.servers": kafka}).cluster_id(),
            topics=topics,
            metrics=ConnectorMetrics(CollectorRegistry()),
            holder="bench",
        )


async def _runs(dsn: str, kafka: str, port: int, topics: Topics) -> dict[str, Any]:
    """Return seconds of a bare reading, of the first and second run, of another bare reading, now that everything is
    warm, and how much memory the runs took (MB).
    """
    # As the role does.
    gc.freeze()
    gc.set_threshold(10_000)
    found: dict[str, Any] = {"bare": await _bare(port)}
    async with _place(dsn, kafka, topics) as place:
        runner = Runner(_connector(port), place)
        await runner.begin()
        before = _resident_mb()
        for name in ("first", "second"):
            began, worked = time.perf_counter(), time.process_time()
            await runner.look(asyncio.Event())
            found[name], found[f"{name}_cpu"] = time.perf_counter() - began, time.process_time() - worked
        found["grown"] = _resident_mb() - before
        found["warm_bare"] = await _bare(port)
        found["state"] = runner.state.consecutive_failures if runner.state else -1
    return found


def _resident_mb() -> float:
    """The most that this program has ever held. (The `ru_maxrss` of a process begins with that of its parent.)"""
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def measure(bench: Bench) -> list[Figure]:
    count = bench.size(100_000, 5_000)
    found = [_measured(bench, count, number) for number in range(bench.repeats)]
    names = "bare", "warm_bare", "first", "second", "second_cpu", "grown"
    bare, warm, first, second, worked, grown = (median(each[name] for each in found) for name in names)
    note = f"{count:,} entities, pages of 500; the bare client: {count / bare:,.0f}/s"
    return [
        Figure(benchmark="connectors", name="first run", value=count / first, unit="entities/s", note=note),
        Figure(benchmark="connectors", name="unchanged run", value=count / second, unit="entities/s", note=note),
        Figure(
            benchmark="connectors", name="unchanged run, CPU", value=worked / count * 1e6, unit="µs/entity", note=note
        ),
        Figure(
            benchmark="connectors",
            name="unchanged run beside a client that only reads",
            value=bare / second,
            unit="x",
            least=GOAL,
            note=note,
        ),
        Figure(
            benchmark="connectors",
            name="unchanged run beside that client, the second time it reads",
            value=warm / second,
            unit="x",
            note=note,
        ),
        Figure(benchmark="connectors", name="grown", value=grown, unit="MB", most=GROWTH_MB, note=note),
    ]


def _measured(bench: Bench, count: int, number: int) -> dict[str, Any]:
    topics = Topics(prefix=f"b-connectors-{number}", partitions=4, replication_factor=1)
    Cluster({"bootstrap.servers": bench.bootstrap}).create(topics.definitions([ID]))
    command = [sys.executable, "-m", "tests.benchmarks.page_server", str(count)]
    with tempfile.TemporaryDirectory(prefix="mst-") as home:
        postgres = EmbeddedPostgres(Path(home))
        postgres.start()
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            migrate(postgres.dsn("postgres"))
            bench.say(f"run {number + 1}")
            arguments = [postgres.dsn("postgres"), bench.bootstrap, port, topics.prefix]
            worker = [sys.executable, "-m", "tests.benchmarks.connectors", *arguments]
            ended = subprocess.run(worker, stdout=subprocess.PIPE, text=True, check=True)
            found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
            assert found["state"] == 0
            return found
        finally:
            server.kill()
            server.wait()
            postgres.stop()


def main() -> None:
    dsn, kafka, port, prefix = sys.argv[1:]
    topics = Topics(prefix=prefix, partitions=4, replication_factor=1)
    print(json.dumps(asyncio.run(_runs(dsn, kafka, int(port), topics))))


if __name__ == "__main__":
    main()
