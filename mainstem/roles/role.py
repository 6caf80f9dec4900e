"""What all roles share: logs, a monitor, signals, and the file that tells a supervisor where the monitor is."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mainstem.installation import write_json, write_private
from mainstem.monitor import Monitor, Readiness
from schemas.errors import MainstemError, UnavailableError
from schemas.metrics import RoleMetrics

RESTART_CODE: Final = 75
"""Exit code of a role that asks to be started again; no failure."""
LOOK_SECONDS: Final = 5.0
"""Between two looks of a role at its own readiness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleOptions:
    """How a role presents itself. *run_file* gets `{"pid", "monitor"}` once the monitor answers."""

    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    run_file: Path | None = None


def last_line_file(run_file: Path) -> Path:
    return run_file.with_suffix(".end")


def leave_last_line(run_file: Path | None, error: MainstemError) -> None:
    """Keep why the role ends beside its run file, for a supervisor that has to say it."""
    if run_file is not None:
        run_file.parent.mkdir(parents=True, exist_ok=True)
        write_private(last_line_file(run_file), str(error).encode())


@contextmanager
def last_line(run_file: Path | None) -> Iterator[None]:
    """Around all that a role does, the reading of its configuration included."""
    try:
        yield
    except MainstemError as error:
        leave_last_line(run_file, error)
        raise


def present(options: RoleOptions, ready: Callable[[], Readiness]) -> None:
    """Start the role's monitor and say where it is. *ready* is asked every LOOK_SECONDS, whoever else asks."""
    RoleMetrics().ready.set_function(lambda: int(ready().is_ready))
    threading.Thread(target=_look, args=(ready,), name="readiness", daemon=True).start()
    monitor = Monitor(ready, host=options.metrics_host, port=options.metrics_port)
    announce(options, monitor.address)


def _look(ready: Callable[[], Readiness]) -> None:
    """Whether something moves is seen only by who looks often enough."""
    while True:
        ready()
        time.sleep(LOOK_SECONDS)


def announce(options: RoleOptions, address: str) -> None:
    if options.run_file is not None:
        options.run_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.run_file, {"pid": os.getpid(), "monitor": address})


def stop_on_signals(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """Return an event that Ctrl-C and SIGTERM set."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def stop_thread_on_signals() -> threading.Event:
    """As :func:`stop_on_signals`, for a role that is a synchronous loop."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def listen(host: str, port: int) -> socket.socket:
    """Take the API's port. Raises UnavailableError when another program has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio looks for the name of TCP: without it an answer's end waits 40 ms for word that its beginning has arrived.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        raise UnavailableError(
            f"the API cannot listen on {host}:{port}: {error.strerror}; set api.port (0 takes any free port)"
        ) from None
    sock.listen(128)
    return sock
