"""The roles of an installation as processes that may be killed, stopped, cut off and started again."""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import orjson

from mainstem.embedded.process import Child, Command

PAUSE_SECONDS = 0.3
"""Between the end of a role and its next start."""


@dataclass(eq=False)
class Role:
    """One role: *arguments* are those of `mainstem`. It is started again whenever it ends, until it is let go."""

    name: str
    arguments: tuple[str, ...]
    home: Path
    environment: Mapping[str, str]
    endings: list[str] = field(default_factory=list)
    child: Child | None = None
    wanted: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def log(self) -> Path:
        return self.home / f"{self.name}.log"

    @property
    def run_file(self) -> Path:
        return self.home / f"{self.name}.json"

    @property
    def pid(self) -> int | None:
        return self.child.pid if self.child else None

    def start(self, **environment: str) -> None:
        """Start it, with more *environment* for this life alone."""
        with self.lock:
            self.wanted = True
            self.run_file.unlink(missing_ok=True)
            self.child = Child(
                Command(
                    arguments=(sys.executable, "-P", str(Path(__file__).with_name("role.py")), *self.arguments,
                               "--run-file", str(self.run_file)),
                    directory=self.home,
                    log=self.log,
                    stop_signal=signal.SIGTERM,
                    death_signal=signal.SIGKILL,
                    environment={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1", **environment},
                )
            )  # fmt: skip

    def look_after(self) -> None:
        """Start it again if it ended."""
        with self.lock:
            if not self.wanted or self.child is None or self.child.running:
                return
            self.endings.append(f"{self.name} ended with {self.child.exit_code}: {self.last_words()}")
            time.sleep(PAUSE_SECONDS)
            self.start()

    def send(self, number: signal.Signals) -> int:
        """Send it a signal; return the process that got it."""
        with self.lock:
            pid = self.pid
            assert pid is not None, f"{self.name} does not run"
            os.kill(pid, number)
            return pid

    def stop(self) -> None:
        """End it as an operator does, for good or until it is started again."""
        self.end(signal.SIGTERM)

    def end(self, number: signal.Signals) -> None:
        """End it by a signal, for good or until it is started again."""
        with self.lock:
            self.wanted = False
            if self.child is not None and self.child.running:
                self.send(number)
                self.child.stop()

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return next((line for line in reversed(lines) if line.startswith("mainstem: ")), lines[-1] if lines else "")

    def monitor(self) -> str | None:
        """Return where its monitor answers, None before it does."""
        try:
            found = orjson.loads(self.run_file.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return str(found["monitor"]) if found["pid"] == self.pid else None

    def asked(self, path: str) -> httpx2.Response | None:
        address = self.monitor()
        try:
            return None if address is None else httpx2.get(f"{address}{path}", timeout=2.0)
        except httpx2.HTTPError:
            return None

    def is_ready(self) -> bool:
        answer = self.asked("/readyz")
        return answer is not None and answer.status_code == httpx2.codes.OK
