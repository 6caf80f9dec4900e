"""Mainstem as its user has it: `up` in a process of its own, and its commands beside it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from schemas.topics import Topics
from tests.faults.installed import Installed
from tests.integration.kill.kafka_io import Sent, produce_and_wait, remaining
from tests.patience import ended, eventually, moment, was_starved

READY_SECONDS = 150.0
STOP_SECONDS = 60.0
ENVIRONMENT = {**os.environ, "MAINSTEM_API__PORT": "0", "TERM": "xterm-256color", "COLUMNS": "120"}


def run(*arguments: str, environment: Mapping[str, str] | None = None, **options: Any) -> Any:
    """Run `mainstem` with *arguments*, as in a pipe, to its end."""
    command = [sys.executable, "-m", "mainstem", *arguments]
    environment = {**ENVIRONMENT, **(environment or {})}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False, **options)
    assert "\x1b" not in done.stdout + done.stderr, "colours in a pipe"
    return done


def write_config(path: Path, config: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False))
    return path


class Up(Installed):
    """One installation in a short directory of its own, embedding what *config* does not name."""

    def __init__(self, config: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mst-up-"))
        self.config_file = write_config(self.home / "mainstem.yaml", config)
        self.data_dir = self.home / "d"
        self.ready_file = self.home / "ready.json"
        self.log_file = self.home / "up.log"
        self.topics = Topics(prefix="mainstem", partitions=4, replication_factor=1)
        self.facts: dict[str, Any] = {}
        self._environment = {**ENVIRONMENT, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    # -- its life

    def launch(self) -> None:
        """Start it and do not wait."""
        command = [sys.executable, "-m", "mainstem", "up", "--ready-file", str(self.ready_file), *self._options()]
        with self.log_file.open("ab") as out:
            self._process = subprocess.Popen(command, env=self._environment, stdout=out, stderr=subprocess.STDOUT)

    def start(self) -> "Up":
        self.ready_file.unlink(missing_ok=True)
        self.launch()
        eventually(self._is_ready, READY_SECONDS, self.tail)
        self.facts = json.loads(self.ready_file.read_bytes())
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it as an operator does: in time, with code 0, leaving no process behind."""
        self._process.send_signal(number)
        begin = moment()
        family = self.family()
        code = ended(self._process, STOP_SECONDS, self.tail)
        left = [process for process in family if _is_alive(process)]
        assert code == 0, self.tail()
        assert left == []
        # Each role has 15 s by the clock on the wall before it is killed.
        assert not self.events("up.role_killed") or was_starved(begin), self.tail()

    def wait(self) -> int:
        """Return its exit code, once it ended by itself."""
        return ended(self._process, READY_SECONDS, self.tail)

    def kill(self) -> None:
        """Kill it and everything below it, all at once; nothing is told, nothing can tidy up."""
        family = self.family()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process is not None:
            self._process.wait()
        eventually(lambda: not any(map(_is_alive, family)))

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.home)

    def family(self) -> list[psutil.Process]:
        """Return its process and all below it; none once it ended."""
        if self._process is None or self._process.poll() is not None:
            return []
        own = psutil.Process(self._process.pid)
        return [own, *own.children(recursive=True)]

    def child(self, *words: str) -> psutil.Process | None:
        """Return its own child whose command line has all of *words*, None while there is none."""
        assert self._process.poll() is None, self.tail()
        for process in psutil.Process(self._process.pid).children():
            with suppress(psutil.Error):
                line = process.cmdline()
                is_launched = not any(part.endswith("launch.py") for part in line)
                if is_launched and all(any(part.endswith(word) for part in line) for word in words):
                    return process
        return None

    def tail(self) -> str:
        return self.log_file.read_text(errors="replace")[-6000:]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what its log says under that name."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event.get("event") == name]

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self.tail()
        return self.ready_file.exists()

    def _options(self) -> tuple[str, ...]:
        return "--config", str(self.config_file), "--data-dir", str(self.data_dir)

    # -- its user

    def run(self, *arguments: str, **options: Any) -> Any:
        """Run a command that finds this installation."""
        return run(*arguments, *self._options(), **options)

    def sender(self) -> Callable[..., Sent]:
        """Return a function (connector, value, key, **options) that publishes one record and waits for the broker."""
        settings = {
            "bootstrap.servers": self.facts["kafka"],
            "partitioner": "murmur2_random",
            "message.max.bytes": 100_000_000,
            "compression.type": "gzip",
        }
        producer = Producer(settings)

        def send(connector: str, value: Any, key: bytes | None, **options: Any) -> Sent:
            data = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            return produce_and_wait(producer, self.topics.changes(connector), data, key, **options)

        return send

    def entity(self, ref: str, *, gone: bool = False, seconds: float = 120) -> dict[str, Any]:
        """Wait until the entity is there (or *gone*) and return its row."""

        def found() -> list[dict[str, Any]]:
            rows = self.rows("SELECT * FROM entities WHERE entity_ref = %(ref)s", ref=ref)
            return [row for row in rows if (row["deleted_at"] is not None) == gone]

        return eventually(found, seconds, self.tail)[0]

    def wait_until_merged(self, connectors: Sequence[str], seconds: float = 120) -> None:
        """Wait until the processor committed all changes of *connectors*."""
        left = partial(remaining, self.facts["kafka"], self.topics, connectors)
        eventually(lambda: left() == 0, seconds, self.tail)

    def outcomes(self, connector: str) -> dict[str, int]:
        """Return what became of a connector's changes, as the API's /metrics counts it."""
        text = httpx2.get(f"{self.facts['api']}/metrics", timeout=10).text
        counted: dict[str, int] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.labels.get("topic") != self.topics.changes(connector):
                    continue
                if sample.name == "mainstem_processor_outcomes_total":
                    outcome = sample.labels["outcome"]
                    counted[outcome] = counted.get(outcome, 0) + int(sample.value)
        return {outcome: count for outcome, count in counted.items() if count}


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
