"""How the servers' processes begin, end, and are found again after a kill -9 of everything."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil  # type: ignore[import-untyped]

from mainstem.embedded import launch

STOP_TIMEOUT_S = 15
_KILL_TIMEOUT_S = 5
_LOG_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user that a server runs as. *reach*: some directory on the way to its files is closed to that user."""

    uid: int
    gid: int
    reach: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run. *directory* is where it works: by it a server's process is recognised later."""

    arguments: tuple[str, ...]
    directory: Path
    log: Path | None
    """None: it writes where we write."""
    stop_signal: signal.Signals
    account: Account | None = None
    environment: Mapping[str, str] | None = None
    """None: as little as a server needs."""
    death_signal: signal.Signals | None = None
    """What it gets when its parent dies; None: the stop signal."""

    def wrapped(self) -> list[str]:
        """Return the arguments for exec, by way of `launch.py`. Call in the process that will be the parent."""
        user = self.account or Account(uid=-1, gid=-1, reach=False)
        farewell = self.death_signal or self.stop_signal
        ties = (farewell.value, os.getpid(), user.uid, user.gid, int(user.reach))
        return [sys.executable, "-I", "-S", launch.__file__, *map(str, ties), *self.arguments]


class Child:
    """A running server. It leads a session of its own, so that Ctrl-C in a terminal reaches its parent only."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._process = _spawner.run(lambda: _popen(command))

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.running else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; -N when signal N ended it."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Send the stop signal and do not wait."""
        if self.running:
            self._process.send_signal(self._command.stop_signal)

    def stop(self) -> bool:
        """Ask, wait, kill: returns within STOP_TIMEOUT_S and a little, False when it had to be killed."""
        if not self.running:
            return True
        self._process.send_signal(self._command.stop_signal)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True


def run(command: Command, *, timeout_s: float) -> int:
    """Run *command* to its end and return its exit code; its output is in its log."""
    child = _popen(command)
    try:
        return child.wait(timeout_s)
    finally:
        child.kill()
        child.wait()


def end_leftovers(name: str, directory: Path, ask: signal.Signals) -> None:
    """End every process called *name* that works in *directory*; only the holder of the directory's lock may.

    A process is recognised by what it is and where it works, never by a remembered pid, which may be
    somebody else's by now.
    """
    place = directory.resolve()
    for number, patience_s in ((ask, STOP_TIMEOUT_S), (signal.SIGKILL, _KILL_TIMEOUT_S)):
        leftovers = [process for process in psutil.process_iter() if _works_in(process, name, place)]
        for process in leftovers:
            _signal(process, number)
        _wait_until_gone(leftovers, name, place, patience_s)


def log_tail(*logs: Path | None, lines: int = 5) -> str:
    """Return the last lines of each of *logs*."""
    texts = [log.read_text(errors="replace").strip() for log in logs if log is not None and log.exists()]
    tails = ["\n".join(text.splitlines()[-lines:]) for text in texts if text]
    return "\n".join(tails) or "(its log is empty)"


def _wait_until_gone(processes: list[psutil.Process], name: str, directory: Path, patience_s: float) -> None:
    # Not psutil's wait: it waits for zombies too, for ever where nobody reaps orphans, as in many containers.
    deadline = time.monotonic() + patience_s
    while any(_works_in(process, name, directory) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)


def _works_in(process: psutil.Process, name: str, directory: Path) -> bool:
    try:
        return process.name() == name and Path(process.cwd()) == directory
    except (psutil.Error, OSError):
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


def _popen(command: Command) -> subprocess.Popen[bytes]:
    environment = command.environment
    if environment is None:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    with contextlib.ExitStack() as stack:
        log = None if command.log is None else stack.enter_context(_opened(command.log))
        return subprocess.Popen(  # noqa: S603 - our own command
            command.wrapped(),
            cwd=command.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _opened(log: Path) -> IO[bytes]:
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".old"))
    return log.open("ab")


class _Spawner:
    """Forks on one thread that lives as long as the process.

    The kernel sends the death signal when the *thread* that forked ends: a child forked by a worker
    thread would be killed when that thread is done.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, spawn: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._guard:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="embedded-spawner", daemon=True)
                self._thread.start()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._work.put((future, spawn))
        return future.result()

    def _serve(self) -> None:
        while True:
            future, spawn = self._work.get()
            try:
                future.set_result(spawn())
            except Exception as error:  # noqa: BLE001 - it is raised again where the result is awaited
                future.set_exception(error)


_spawner = _Spawner()
