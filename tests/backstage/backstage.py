"""A real Backstage in a process of its own: its catalogue, our module, somebody else's module."""

import os
import shutil
import signal
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
import yaml
from psycopg import conninfo, sql

from mainstem.embedded.ports import free_ports
from mainstem.embedded.process import Child, Command, log_tail
from tests.backstage.npm import BACKEND, MODULE_NAME
from tests.patience import eventually

READY_SECONDS = 120.0
SHARDS = 16
OURS = "mainstem:"


class Backstage:
    """Keeps its port, its token and its databases over restarts.

    *installed* has the `node_modules` of the backend, *module* is the folder that ours was unpacked into, *admin* the
    DSN of a superuser of the Postgres that it shall use. *files*: addresses of location files that it shall read;
    *is_measured*: it is as slow and as generous as Backstage is by default, and has `bare.js` beside.
    """

    def __init__(
        self, installed: Path, module: Path, admin: str, *, files: Sequence[str] = (), is_measured: bool = False
    ) -> None:
        self.token = f"token-{uuid.uuid4().hex}"
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.prefix = f"backstage_{uuid.uuid4().hex[:8]}_"
        self._admin = admin
        # Below *installed*: Node looks for modules upwards, here for ours and there for Backstage's.
        self._home = installed / f"run-{uuid.uuid4().hex[:12]}"
        self._log = self._home / "backstage.log"
        self._child: Child | None = None
        self._client = httpx2.Client(base_url=self.url, timeout=60, headers={"Authorization": f"Bearer {self.token}"})
        config = _app_config(self, conninfo.conninfo_to_dict(admin), files)
        self._measured = {"MEASURED": "1"} if is_measured else {}
        if not is_measured:
            # What it was processing when it ended is processed again after this time, by default 100 to 150 s; what it
            # was putting together, after that, by default 60 s.
            config["catalog"]["processingInterval"] = {"seconds": 5}
            config["catalog"]["stitchingStrategy"] = {"mode": "deferred", "stitchTimeout": {"seconds": 5}}
            config["catalog"]["providers"]["mainstem"]["bodyLimit"] = "1mb"
        self._lay_out(module, config)

    # -- its life

    def start(self) -> "Backstage":
        self.launch()
        self.wait_until_ready()
        return self

    def launch(self) -> None:
        """Start it and do not wait."""
        node = shutil.which("node")
        assert node is not None
        command = Command(
            arguments=(node, "index.js", "--config", str(self._home / "app-config.yaml")),
            directory=self._home,
            log=self._log,
            stop_signal=signal.SIGTERM,
            environment={**os.environ, "NODE_ENV": "production", "LOG_LEVEL": "warn", **self._measured},
            death_signal=signal.SIGKILL,
        )
        self._child = Child(command)

    def wait_until_ready(self) -> None:
        assert self._child is not None
        child = self._child
        eventually(lambda: self._is_ready() or not child.running, READY_SECONDS, self.tail)
        assert child.running, f"Backstage ended while it started:\n{self.tail()}"

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """Kill -9, and return when it is gone."""
        assert self._child is not None
        if pid := self._child.pid:
            os.kill(pid, signal.SIGKILL)
        child = self._child
        eventually(lambda: not child.running, 10, lambda: "Backstage outlives kill -9", pause=0.02)

    def restart(self) -> None:
        self.stop()
        self.start()

    def empty_database(self) -> None:
        """Stop it, take its databases away, start it: as after a restore of nothing."""
        self.stop()
        self._drop_databases()
        self.start()

    def lose_entities(self) -> None:
        """Take what it has from our module out of its catalogue's tables, behind its back."""
        with psycopg.connect(self._admin, dbname=f"{self.prefix}catalog", autocommit=True) as catalog:
            catalog.execute("DELETE FROM refresh_state WHERE starts_with(location_key, %s)", [OURS])

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Between two clock ticks: connections are taken, nothing is answered."""
        assert self._child is not None
        assert self._child.pid is not None
        os.kill(self._child.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._child.pid, signal.SIGCONT)

    def clear(self) -> None:
        """Take out what our module brought, and wait until nothing of it is shown; started where it is not."""
        if self._child is None or not self._child.running:
            self.start()
        for each in self.status()["shards"]:
            if each["entities"] != 0:
                body = {"entities": [], "hash": ""}
                self.request("PUT", f"/shards/{each['shard']}", json=body).raise_for_status()
        eventually(lambda: not self.mainstems(), said=self.tail)

    def close(self) -> None:
        self._client.close()
        self.stop()
        self._drop_databases()
        shutil.rmtree(self._home)

    # -- what it says

    def entity(self, ref: str) -> dict[str, Any] | None:
        """Return the entity as its catalogue shows it, None where it shows none."""
        kind, _, path = ref.partition(":")
        answer = self._client.get(f"/api/catalog/entities/by-name/{kind}/{path}")
        if answer.status_code == httpx2.codes.NOT_FOUND:
            return None
        return answer.raise_for_status().json()

    def entities(self) -> dict[str, dict[str, Any]]:
        """Return everything that its catalogue shows, by ref."""
        found: dict[str, dict[str, Any]] = {}
        cursor: dict[str, str] = {}
        while True:
            answer = self._client.get("/api/catalog/entities/by-query", params={"limit": "500", **cursor})
            page = answer.raise_for_status().json()
            found.update((ref_of(entity), entity) for entity in page["items"])
            if "nextCursor" not in page["pageInfo"]:
                return found
            cursor = {"cursor": page["pageInfo"]["nextCursor"]}

    def mainstems(self) -> dict[str, dict[str, Any]]:
        """Return what its catalogue shows of Mainstem, by ref, without what Backstage adds to an entity."""
        return {ref: bare(entity) for ref, entity in self.entities().items() if location_of(entity).startswith(OURS)}

    def status(self) -> dict[str, Any]:
        """Return what our module tells of itself and its shards."""
        return self.request("GET", "/status").raise_for_status().json()

    def delete(self, ref: str) -> None:
        """Delete an entity there, as somebody who presses the button does."""
        entity = self.entity(ref)
        assert entity is not None
        self._client.delete(f"/api/catalog/entities/by-uid/{entity['metadata']['uid']}").raise_for_status()

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Ask the module: *path* is below `/api/catalog/mainstem`. With the token, unless *options* have headers."""
        return self._client.request(method, f"/api/catalog/mainstem{path}", **options)

    def tail(self) -> str:
        return log_tail(self._log, lines=40)

    # -- its parts

    def _lay_out(self, module: Path, config: Mapping[str, Any]) -> None:
        shutil.copytree(BACKEND, self._home, ignore=shutil.ignore_patterns("node_modules", "package-lock.json"))
        shutil.copytree(module, self._home / "node_modules" / MODULE_NAME)
        (self._home / "app-config.yaml").write_text(yaml.safe_dump(dict(config)))

    def _is_ready(self) -> bool:
        try:
            return self._client.get("/.backstage/health/v1/readiness").is_success
        except httpx2.TransportError:
            return False

    def _drop_databases(self) -> None:
        with psycopg.connect(self._admin, autocommit=True) as admin:
            names = admin.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [self.prefix])
            for (name,) in names.fetchall():
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _app_config(backstage: Backstage, postgres: Mapping[str, Any], files: Sequence[str]) -> dict[str, Any]:
    connection = {key: postgres[key] for key in ("host", "port", "user", "password") if key in postgres}
    access = {"type": "static", "options": {"token": backstage.token, "subject": "mainstem"}}
    rules = [{"allow": ["Component", "System", "API", "Resource", "Location", "Domain", "Group", "User"]}]
    return {
        "app": {"title": "Under test", "baseUrl": backstage.url},
        "backend": {
            "baseUrl": backstage.url,
            "listen": f"127.0.0.1:{backstage.port}",
            "database": {"client": "pg", "connection": connection, "prefix": backstage.prefix},
            "auth": {"externalAccess": [access]},
            "reading": {"allow": [{"host": host} for host in sorted({urlsplit(file).netloc for file in files})]},
        },
        "catalog": {
            "rules": rules,
            "locations": [{"type": "url", "target": file, "rules": rules} for file in files],
            "providers": {"mainstem": {"shards": SHARDS}},
        },
    }


def bare(entity: Mapping[str, Any]) -> dict[str, Any]:
    """Return *entity* without what Backstage alone says of one."""
    metadata = {name: value for name, value in entity["metadata"].items() if name not in {"uid", "etag", "generation"}}
    return {
        **{name: entity[name] for name in ("apiVersion", "kind", "spec") if name in entity},
        "metadata": metadata,
    }


def location_of(entity: Mapping[str, Any]) -> str:
    return entity["metadata"].get("annotations", {}).get("backstage.io/managed-by-location", "")


def ref_of(entity: Mapping[str, Any]) -> str:
    metadata = entity["metadata"]
    return f"{entity['kind']}:{metadata['namespace']}/{metadata['name']}".lower()
