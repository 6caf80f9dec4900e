"""How long tests wait: by a clock that stands still while the host keeps the processors for others.

What is waited for takes processor time, and a shared host may keep most of it for minutes: a wait by the clock on the
wall would then fail for nothing that the code did.
"""

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
