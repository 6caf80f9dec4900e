"""How long tests wait: by a clock that stands still while the host keeps the processors for others.

What is waited for takes processor time, and a shared host may keep most of it for minutes: a wait by the clock on the
wall would then fail for nothing that the code did.
"""

import functools
import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

import psutil

_NOT_GRANTED = {"steal", "guest", "guest_nice"}
"""What the host kept; and what `user` and `nice` hold already."""


def granted() -> float:
    """Return the seconds, since some moment, for which the machine had its processors."""
    times = psutil.cpu_times()
    return sum(getattr(times, name) for name in times._fields if name not in _NOT_GRANTED) / psutil.cpu_count()


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
    """Hold the product to its own times: *test* is run again, twice at most, if it fails while the host kept a second.

    To be run again, it names what it makes anew each time, and its fixtures are shared with others.
    """

    @functools.wraps(test)
    def attempts(**fixtures: Any) -> None:
        for _ in range(2):
            kept = _kept()
            try:
                return test(**fixtures)
            except AssertionError:
                if _kept() - kept < 1:
                    raise
        return test(**fixtures)

    return attempts


def _kept() -> float:
    return float(getattr(psutil.cpu_times(), "steal", 0.0))
