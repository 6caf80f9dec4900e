"""Engines in processes of their own, and what they say of themselves."""

import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic

from tests.benchmarks.engines import STOCK_TABLE
from tests.benchmarks.load import PARTITIONS

LIMIT_SECONDS = 1_200


def new_prefix() -> str:
    return f"b-{uuid.uuid4().hex[:8]}"


def stock_changelog(prefix: str) -> str:
    return f"{prefix}-stock-{STOCK_TABLE}-changelog"


def stock_topics(bootstrap: str, prefix: str) -> None:
    """Make what Faust as shipped needs beside the topics that are there."""
    topic = NewTopic(stock_changelog(prefix), PARTITIONS, 1, config={"cleanup.policy": "compact"})
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([topic])[topic.topic].result(20)


def engine(name: str, bootstrap: str, prefix: str, count: int, *, skip: int = 0) -> dict[str, Any]:
    """Run one engine over *count* changes; return its figures, taken after the first *skip*."""
    with tempfile.TemporaryDirectory(prefix="mst-bench-") as data_dir:
        command = _command(name, bootstrap, prefix, data_dir, count=count, skip=skip)
        result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def _command(name: str, bootstrap: str, prefix: str, data_dir: str, *, count: int = 0, skip: int = 0) -> list[str]:
    arguments = (name, bootstrap, prefix, str(count), data_dir, str(skip))
    return [sys.executable, "-m", "tests.benchmarks.engines", *arguments]


@dataclass
class Group:
    """Several workers of one group, on topics that are filled already."""

    bootstrap: str
    prefix: str
    home: Path
    workers: int
    _seen: list[list[tuple[float, int]]] = field(default_factory=list)

    def rate(self, count: int) -> float:
        """Return changes per second of all together, from the moment at which each has merged some."""
        processes = [self._start(number) for number in range(self.workers)]
        self._seen = [[] for _ in processes]
        readers = [
            threading.Thread(target=self._read, args=(process, seen), daemon=True)
            for process, seen in zip(processes, self._seen, strict=True)
        ]
        try:
            for reader in readers:
                reader.start()
            deadline = time.monotonic() + LIMIT_SECONDS
            while sum(seen[-1][1] for seen in self._seen if seen) < count:
                assert all(process.poll() is None for process in processes), "a worker ended"
                assert time.monotonic() < deadline, f"the group does not come to its end: {self._seen}"
                time.sleep(0.05)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        return self._steady_rate()

    def _steady_rate(self) -> float:
        begun = max(next(at for at, done in seen if done) for seen in self._seen)
        ended = max(next(at for at, done in seen if done == seen[-1][1]) for seen in self._seen)
        before = sum(max((done for at, done in seen if at <= begun), default=0) for seen in self._seen)
        return (sum(seen[-1][1] for seen in self._seen) - before) / (ended - begun)

    def _start(self, number: int) -> "subprocess.Popen[str]":
        command = _command("worker", self.bootstrap, self.prefix, str(self.home / str(number)))
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    @staticmethod
    def _read(process: "subprocess.Popen[str]", seen: list[tuple[float, int]]) -> None:
        for line in process.stdout or ():
            if line.startswith("{"):
                found = json.loads(line)
                seen.append((found["at"], found["done"]))
