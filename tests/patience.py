"""How long tests wait: by a clock that stands still while the host keeps the processors for others.

What is waited for takes processor time, and a shared host may keep most of it for minutes: a wait by the clock on the
wall would then fail for nothing that the code did.
"""

import functools
import sys
import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

import psutil

_NOT_GRANTED = {"steal", "guest", "guest_nice"}
"""What the host kept; and what `user` and `nice` hold already."""


def granted() -> float:
    """Return the seconds, since some moment, for which the machine had its processors, and a tenth of all others."""
    times = psutil.cpu_times()
    had = sum(getattr(times, name) for name in times._fields if name not in _NOT_GRANTED) / psutil.cpu_count()
    return 0.9 * had + 0.1 * time.monotonic()


def eventually(
    found: Callable[[], Any], seconds: float = 120, said: Callable[[], str] = str, *, pause: float = 0.2
) -> Any:
    """Return what *found* returns as soon as that is true. *said* tells what is known when it does not become so."""
    deadline = granted() + seconds
    while not (result := found()):
        assert granted() < deadline, f"not within {seconds} s: {said()}"
        time.sleep(pause)
    return result


def ended(process: Popen[Any], seconds: float, said: Callable[[], str] = str) -> int:
    """Return the code with which *process* ends by itself within *seconds*."""
    eventually(lambda: process.poll() is not None, seconds, said, pause=0.05)
    return process.returncode


def timely(test: Callable[..., None]) -> Callable[..., None]:
    """Hold the product to its own times: *test* is run again, twice at most, where it failed on a starved machine.

    It bears to be run again with the same fixtures.
    """

    @functools.wraps(test)
    def attempts(**fixtures: Any) -> None:
        for _ in range(2):
            begin = moment()
            try:
                return test(**fixtures)
            except AssertionError as error:
                if not was_starved(begin):
                    raise
                print(f"run again, for the host kept the processors: {error}", file=sys.stderr)
        return test(**fixtures)

    return attempts


def moment() -> tuple[float, float]:
    """Return a moment for :func:`was_starved`."""
    return time.monotonic(), float(getattr(psutil.cpu_times(), "steal", 0.0))


def was_starved(since: tuple[float, float]) -> bool:
    """Return whether the host has kept a quarter of the processors from the :func:`moment` *since* on."""
    now, kept = moment()
    return kept - since[1] > (now - since[0]) * psutil.cpu_count() / 4
