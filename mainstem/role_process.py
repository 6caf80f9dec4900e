"""One role as its supervisor sees it: its process, what it says of its readiness, and why it ended."""

import signal
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import orjson

from mainstem.embedded.process import Child, Command
from mainstem.monitor import NO_TLS
from mainstem.roles.role import last_line_file

_ANSWER_SECONDS: Final = 3.0
"""The API itself waits for two: its answer says why it is not ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSpec:
    """One role to keep running: its name, and what follows `mainstem` on its command line."""

    name: str
    arguments: tuple[str, ...]


@dataclass(slots=True)
class RoleProcess:
    """A role that is kept running. *failures*: when it failed; *start_at*: not before this moment; monotonic."""

    spec: RoleSpec
    run_file: Path
    child: Child | None = None
    failures: deque[float] = field(default_factory=deque)
    start_at: float = 0.0

    def start(self, log: Path | None, environment: Mapping[str, str]) -> None:
        """Start it anew. *log* None: it writes where we write."""
        self.run_file.unlink(missing_ok=True)
        last_line_file(self.run_file).unlink(missing_ok=True)
        arguments = (sys.executable, "-m", "mainstem", *self.spec.arguments, "--run-file", str(self.run_file))
        command = Command(
            arguments=arguments,
            directory=Path.cwd(),
            log=log,
            stop_signal=signal.SIGTERM,
            # Nobody would wait for a role whose supervisor is gone, and roles may be killed at any time.
            death_signal=signal.SIGKILL,
            environment=environment,
        )
        self.child = Child(command)

    @property
    def address(self) -> str | None:
        """Where its monitor answers; None while it has none."""
        try:
            found: dict[str, Any] = orjson.loads(self.run_file.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        is_current = self.child is not None and found.get("pid") == self.child.pid
        return str(found["monitor"]) if is_current else None

    def hindrance(self) -> str | None:
        """Return why it is not ready; None when it is."""
        address = self.address
        if address is None:
            return "starts" if self.child is not None else self.last_line() or "ended; it is started again"
        try:
            answer = httpx2.get(f"{address}/readyz", timeout=_ANSWER_SECONDS, verify=NO_TLS)
        except httpx2.HTTPError:
            return "does not answer yet"
        return None if answer.status_code == httpx2.codes.OK else _said(answer.content)

    def last_line(self) -> str | None:
        """Return the sentence with which it ended last; None where it had none, as after a signal."""
        try:
            return last_line_file(self.run_file).read_text(encoding="utf-8")
        except OSError:
            return None


def _said(body: bytes) -> str:
    """Return the detail of an answer of `/readyz` as words: lag 12, failing git."""
    try:
        detail: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "is not ready"
    words = [_shown(name, value) for name, value in detail.items() if name != "status" and value not in ([], None)]
    return "; ".join(words) or "is not ready"


def _shown(name: str, value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if name == "reason" else f"{name.replace('_', ' ')} {text}"
