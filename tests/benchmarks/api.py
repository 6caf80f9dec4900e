"""Benchmark i: requests of the API from a second process, beside the bare SQL of the same answers in one process."""

import asyncio
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from mainstem.access import tokens
from mainstem.api.database import QUERIES
from mainstem.api.parameters import cursor_of
from mainstem.embedded import EmbeddedPostgres
from mainstem.embedded.ports import free_ports
from schemas import database
from sinks.postgres.model import id_of
from tests.backstage.backstage import Backstage
from tests.backstage.npm import available
from tests.benchmarks.backstage import emitted, mutated, running
from tests.benchmarks.figures import Bench, Figure
from tests.integration.deliveries import hold, opened, upsert

NAME = "api"
RATIO, RADIUS_MS, BY_NAME_MS, PAGE_MS = 0.4, 50, 1.2, 14
"""Goals: beside bare SQL; the blast radius; what a stock Backstage takes for one entity by name, and for 500."""
AT_ONCE, DEPENDENCIES, TEAMS = 8, 5, 100
READY_SECONDS = 60
_API_VERSION = {"apiVersion": "backstage.io/v1alpha1"}
OF_BACKSTAGE = 10_000
"""So many of the entities a Backstage is given, for which it needs a minute or two."""
_SEEDED_AT_ONCE = 2_000
_TIERS = ("tier1", "tier2", "tier3")


def measure(bench: Bench) -> list[Figure]:
    count = bench.size(100_000, 2_000)
    with tempfile.TemporaryDirectory(prefix="mst-") as home:
        postgres = EmbeddedPostgres(Path(home))
        postgres.start()
        try:
            dsn = postgres.dsn("postgres")
            database.migrate(dsn)
            seed(dsn, count, lambda done: bench.say(f"{done:,} of {count:,} services"))
            with serving(dsn, Path(home)) as (address, token):
                asked = Asked(dsn, address, token, count)
                return [*figures(asked, bench), *_beside_backstage(asked, bench)]
        finally:
            postgres.stop()


def ref_of(number: int) -> str:
    return f"component:default/svc-{number:06}"


def seed(dsn: str, count: int, say: Callable[[int], object]) -> None:
    """Write *count* services through the sink, each of which depends on five others, taken at random."""
    chance = random.Random(1)
    sink = opened(dsn)
    try:
        sink.write([_team(number) for number in range(TEAMS)], {})
        for begin in range(0, count, _SEEDED_AT_ONCE):
            batch = []
            for number in range(begin, min(begin + _SEEDED_AT_ONCE, count)):
                entity, held = _service(number, [chance.randrange(count) for _ in range(DEPENDENCIES)])
                batch += [entity, held]
            sink.write(batch, {})
            say(begin + _SEEDED_AT_ONCE)
    finally:
        sink.close()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _team(number: int) -> Any:
    profile = {"displayName": f"Team {number}"}
    return upsert(f"group:default/team-{number}", 1, spec={"profile": profile}, service={"slackChannel": f"#{number}"})


def _service(number: int, targets: list[int]) -> tuple[Any, Any]:
    metadata = {
        "description": f"Takes payments, part {number}. " + "It says what it does at some length. " * 4,
        "annotations": {f"acme.com/annotation-{each}": f"value {number} of {each}" for each in range(4)},
        "tags": ["java", "payments"],
    }
    spec = {"type": "service", "lifecycle": "production", "owner": f"team-{number % TEAMS}"}
    facts = {
        "tier": _TIERS[number % 3],
        "onCall": {"userId": f"user-{number}", "name": "Jane Smith", "until": "2026-01-30T09:00:00Z"},
        "scheduleId": f"S{number}",
        "dependencies": [{"target": ref_of(each), "isCritical": each % 2 == 0} for each in targets],
        "runbooks": [{"title": "Latency", "url": f"https://run.acme.com/{number}"}],
    }
    won = {"/metadata/name": "git", "/service/onCall": "oncall", "/spec/owner": "git", "/service/tier": "cmdb"}
    entity = upsert(ref_of(number), 1, metadata=metadata, spec=spec, service=facts, provenance=won)
    return entity, hold(ref_of(number), 1, git=1, oncall=2)


@contextmanager
def serving(dsn: str, home: Path) -> Iterator[tuple[str, str]]:
    """Yield the address of `api run` in a process of its own, and a token that may read."""
    (port,) = free_ports(1)
    config = home / "mainstem.yaml"
    config.write_text(json.dumps({"kafka": {"bootstrap_servers": "127.0.0.1:1"}, "postgres": {"dsn": dsn}}))
    command = [sys.executable, "-m", "mainstem", "api", "run", "--config", str(config), "--data-dir", str(home)]
    process = subprocess.Popen(command, env={**os.environ, "MAINSTEM_API__PORT": str(port)})
    try:
        address = f"http://127.0.0.1:{port}"
        _until_ready(process, address)
        yield address, asyncio.run(_token(dsn))
    finally:
        process.terminate()
        process.wait()


async def _token(dsn: str) -> str:
    async with await AsyncConnection.connect(dsn) as connection:
        return (await tokens.create(connection, tokens.Wanted(scopes=["read"], by="bench"))).token


def _until_ready(process: "subprocess.Popen[bytes]", address: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        assert process.poll() is None, "the API ended"
        assert time.monotonic() < deadline, "the API does not become ready"
        try:
            if httpx2.get(f"{address}/readyz").is_success:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)


class Asked:
    """One API, the database behind it, and the questions."""

    def __init__(self, dsn: str, address: str, token: str, count: int) -> None:
        self.dsn, self.address, self.token, self.count = dsn, address, token, count
        self._chance = random.Random(2)

    def refs(self, most: int) -> list[str]:
        return [ref_of(self._chance.randrange(self.count)) for _ in range(most)]

    def load(self, paths: list[str], *, connections: int, seconds: float) -> dict[str, float]:
        """Return what the load generator, a process of its own, says of *paths*, asked again and again."""
        command = [sys.executable, "-m", "tests.benchmarks.http_load", self.address, str(connections), str(seconds)]
        given = json.dumps({"paths": paths, "token": self.token})
        found = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=300)
        told: dict[str, float] = json.loads(found.stdout)
        assert told["failed"] == 0, told
        return told

    def bare(self, ask: Callable[[psycopg.Cursor[Any], str], None], refs: list[str], seconds: float) -> float:
        """Return how often a second *ask* asks the database itself."""
        with (
            psycopg.connect(self.dsn, autocommit=True) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            for ref in refs[:20]:
                ask(cursor, ref)
            done, began = 0, time.perf_counter()
            while (now := time.perf_counter()) < began + seconds:
                ask(cursor, refs[done % len(refs)])
                done += 1
            return done / (now - began)


def _bare_service(cursor: psycopg.Cursor[Any], ref: str) -> None:
    cursor.execute(QUERIES["service"], {"tenant": "default", "id": id_of("default", ref)}).fetchall()


def _bare_page(cursor: psycopg.Cursor[Any], ref: str) -> None:
    filters = dict.fromkeys(("kinds", "owners", "tiers", "lifecycles", "tags", "refs", "q"))
    found = cursor.execute(QUERIES["list_services"], {**filters, "tenant": "default", "after": ref, "limit": 51})
    ids = [row["id"] for row in found.fetchall()[:50]]
    cursor.execute(QUERIES["services"], {"tenant": "default", "ids": ids}).fetchall()


def figures(asked: Asked, bench: Bench) -> list[Figure]:
    seconds = 1.0 if bench.is_quick else 8.0
    refs = asked.refs(2_000)
    found = []
    for what, path, bare in (
        ("one service", "/v1/services/{}", _bare_service),
        ("50 services", "/v1/services?limit=50&cursor={}", _bare_page),
    ):
        paths = [path.format(cursor_of(ref) if "cursor" in path else ref) for ref in refs]
        found += _beside(what, asked, paths, bare, refs, bench=bench, seconds=seconds)
    radius = [f"/v1/services/{ref}/dependencies?direction=downstream&depth=5" for ref in refs]
    by_name = [f"/v1/entities/{ref}" for ref in refs]
    page = [f"/v1/entities?limit=500&cursor={cursor_of(ref)}" for ref in refs]
    for what, paths, which, most in (
        ("blast radius of depth 5, p99", radius, "p99", RADIUS_MS),
        ("one entity by name, p50", by_name, "p50", BY_NAME_MS),
        ("500 entities by query, p50", page, "p50", PAGE_MS),
    ):
        bench.say(what)
        asked.load(paths, connections=1, seconds=seconds / 4)
        told = [asked.load(paths, connections=1, seconds=seconds) for _ in range(bench.repeats)]
        value = statistics.median(each[which] for each in told)
        size = statistics.median(each["bytes"] for each in told) / 1_000
        note = f"one at a time; p50 {told[-1]['p50']:.1f}, p99 {told[-1]['p99']:.1f} ms, {size:,.0f} kB each"
        if told[-1]["calm"] < 1 and told[-1]["calm_p99"] < math.inf:
            note += f"; p99 {told[-1]['calm_p99']:.1f} ms of the {told[-1]['calm']:.0%} that others did not disturb"
        found.append(Figure(benchmark=NAME, name=what, value=value, unit="ms", most=most, note=note))
    return found


def _beside(
    what: str, asked: Asked, paths: list[str], bare: Any, refs: list[str], *, bench: Bench, seconds: float
) -> list[Figure]:
    bench.say(what)
    asked.load(paths, connections=AT_ONCE, seconds=seconds / 4)
    told, rates = [], []
    for _ in range(bench.repeats):
        rates.append(asked.bare(bare, refs, seconds))
        told.append(asked.load(paths, connections=AT_ONCE, seconds=seconds))
    rate, p99 = (statistics.median(each[name] for each in told) for name in ("rate", "p99"))
    sql = statistics.median(rates)
    note = f"{AT_ONCE} at once: {rate:,.0f} requests a second, p99 {p99:.1f} ms; bare {sql:,.0f} a second"
    return [Figure(benchmark=NAME, name=f"{what} beside bare SQL", value=rate / sql, unit="x", least=RATIO, note=note)]


# -- a stock Backstage


def _beside_backstage(asked: Asked, bench: Bench) -> list[Figure]:
    if not available():
        bench.say("Node.js and npm are not on this machine: there is no Backstage to ask")
        return []
    count = bench.size(OF_BACKSTAGE, 1_000)
    with tempfile.TemporaryDirectory(prefix="mst-") as home, running(Path(home)) as (backstage, postgres):
        bench.say(f"a Backstage takes in {count:,} entities")
        mutated(backstage, [_API_VERSION | emitted(_service(number, [])[0]) for number in range(count)])
        _until_shown(postgres.dsn("postgres"), f"{backstage.prefix}catalog", count)
        theirs = Asked("", backstage.url, backstage.token, count)
        names = [ref_of(number).rpartition("/")[2] for number in random.Random(3).sample(range(count), 1_000)]
        pages = list(_pages(backstage))
        ours = [f"/v1/entities?limit=500&cursor={cursor_of(ref_of(number))}" for number in range(0, count, 500)]
        return [
            _by_turns(what, (asked, mine), (theirs, yours), bench, most=most)
            for what, mine, yours, most in (
                (
                    "one entity by name",
                    [f"/v1/entities/component%3Adefault%2F{name}" for name in names],
                    [f"/api/catalog/entities/by-name/component/default/{name}" for name in names],
                    1.0,
                ),
                ("500 descriptors by query", [f"{path}&fields=entity_ref,entity" for path in ours], pages, 1.0),
                ("500 entities by query, with what Mainstem knows of each", ours, pages, None),
            )
        ]


def _until_shown(dsn: str, name: str, count: int) -> None:
    with psycopg.connect(dsn, dbname=name, autocommit=True) as connection:
        while True:
            shown = connection.execute("SELECT count(*) FROM final_entities WHERE final_entity <> ''").fetchone()
            if shown and shown[0] >= count:
                return
            time.sleep(1.0)


def _pages(backstage: Backstage) -> Iterator[str]:
    """Yield the path of each page of 500, as Backstage itself leads from one to the next."""
    path: str | None = "/api/catalog/entities/by-query?limit=500"
    while path:
        yield path
        answer = httpx2.get(
            f"{backstage.url}{path}", headers={"Authorization": f"Bearer {backstage.token}"}, timeout=60
        )
        cursor = answer.raise_for_status().json()["pageInfo"].get("nextCursor")
        path = cursor and f"/api/catalog/entities/by-query?limit=500&cursor={cursor}"


def _by_turns(
    what: str,
    ours: tuple[Asked, list[str]],
    theirs: tuple[Asked, list[str]],
    bench: Bench,
    *,
    most: float | None,
) -> Figure:
    bench.say(f"{what}, beside a Backstage")
    seconds = 1.0 if bench.is_quick else 4.0
    told: tuple[list[dict[str, float]], ...] = ([], [])
    for number in range(-1, 3 * bench.repeats):
        for found, (place, paths) in zip(told, (ours, theirs), strict=True):
            answer = place.load(paths, connections=1, seconds=seconds)
            if number >= 0:
                found.append(answer)
    mine, yours = ({name: statistics.median(each[name] for each in found) for name in found[0]} for found in told)
    note = "; ".join(
        f"{who} p50 {each['p50']:.2f}, p99 {each['p99']:.1f} ms, {each['bytes'] / 1_000:,.0f} kB"
        for who, each in (("ours", mine), ("Backstage", yours))
    )
    value = mine["p50"] / yours["p50"]
    return Figure(benchmark=NAME, name=f"{what} beside Backstage", value=value, unit="x", most=most, note=note)
