"""A role as `mainstem` runs it, which dies or stands still at a labelled point when it is told one.

usage: role.py ARGUMENT… (those of `mainstem`)

MAINSTEM_TEST_POINT: JSON of {"label", "nth", "signal", "seen"}: at the nth time that it comes to the point, it touches
the file *seen* and sends itself the signal. MAINSTEM_TEST_CLOCK: seconds by which its clock is wrong.
A seam that is no longer there is an error: a point that nobody can reach shows nothing.
"""

import asyncio
import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

POINT = json.loads(os.environ.get("MAINSTEM_TEST_POINT", "{}"))
_times = 0


def here(label: str) -> None:
    """The role has come to a point."""
    global _times  # noqa: PLW0603 - one point per process
    if label != POINT["label"]:
        return
    _times += 1
    if _times == POINT["nth"]:
        Path(POINT["seen"]).touch()
        os.kill(os.getpid(), POINT["signal"])


def mark(owner: Any, name: str, label: str) -> None:
    """Make `<label>.before` and `<label>.after` points of a method; of a coroutine, its end."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def plain(*args: Any, **kwargs: Any) -> Any:
        here(f"{label}.before")
        result = method(*args, **kwargs)
        here(f"{label}.after")
        return result

    @functools.wraps(method)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        here(f"{label}.before")
        result = await method(*args, **kwargs)
        here(f"{label}.after")
        return result

    setattr(owner, name, awaited if asyncio.iscoroutinefunction(method) else plain)


def mark_processor() -> None:
    from streams.consumer_thread import LeasedConsumerThread  # noqa: PLC0415
    from streams.table import EPOCH_KEY, RunTable  # noqa: PLC0415 - Faust costs a second
    from streams.transport import StrictProducer  # noqa: PLC0415

    mark(RunTable, "settle", "settle")
    mark(LeasedConsumerThread, "commit", "commit")
    send_all = StrictProducer.send_all

    async def sending(self: Any, topic: str, partition: int, outputs: Any) -> Any:
        outputs = list(outputs)
        is_epoch = any(output.key == EPOCH_KEY for output in outputs)
        label = "epoch" if is_epoch else "state" if topic.endswith("-changelog") else "outputs"
        here(f"{label}.before")
        answers = await send_all(self, topic, partition, outputs)
        here(f"{label}.sent")
        if answers:
            answers[-1].add_done_callback(lambda _: here(f"{label}.after"))
        return answers

    StrictProducer.send_all = sending


def mark_sinks() -> None:
    import psycopg  # noqa: PLC0415

    from sinks.incidents import IncidentsSink  # noqa: PLC0415
    from sinks.membership import Membership  # noqa: PLC0415
    from sinks.postgres.sink import PostgresSink  # noqa: PLC0415

    mark(IncidentsSink, "write", "write")
    mark(PostgresSink, "write", "write")
    mark(psycopg.Transaction, "__exit__", "transaction")
    mark(Membership, "commit", "commit")


def set_clock(seconds: float) -> None:
    """Make the whole process believe that it is so much later."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1_000_000_000)


MARKED: dict[str, Callable[[], None]] = {"processor": mark_processor, "sinks": mark_sinks}

if __name__ == "__main__":
    if "MAINSTEM_TEST_CLOCK" in os.environ:
        set_clock(float(os.environ["MAINSTEM_TEST_CLOCK"]))
    if POINT:
        MARKED[sys.argv[1]]()
    from mainstem.cli import main

    sys.exit(main())
