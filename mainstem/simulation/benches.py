"""Where simulations run: a few at a time, each in a process of its own that ends when nobody waits for it."""

import asyncio
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final

from mainstem.simulation.catalogue import Failure, Task, work
from mainstem.simulation.difference import Tally

AT_ONCE: Final = 2
LOOK_SECONDS: Final = 0.1
_SPAWN: Final = get_context("spawn")


class BusyError(Exception):
    """As many simulations run as may."""


class AbandonedError(Exception):
    """Whoever asked is gone."""


class Benches:
    """Room for *count* simulations at a time."""

    def __init__(self, count: int = AT_ONCE) -> None:
        self._free = count

    async def run(self, task: Task, gone: asyncio.Future[None]) -> Tally | Failure:
        """Return what came of *task*. Raises BusyError at once, and AbandonedError once *gone* is done."""
        if not self._free:
            raise BusyError
        self._free -= 1
        try:
            return await _ran(task, gone)
        finally:
            self._free += 1


async def _ran(task: Task, gone: asyncio.Future[None]) -> Tally | Failure:
    answer, given = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=work, args=(task, given), name="simulate", daemon=True)
    try:
        # In a thread: a process takes a while to start, and an answer to read.
        await asyncio.to_thread(process.start)
        given.close()
        while not answer.poll():
            if (await asyncio.wait([gone], timeout=LOOK_SECONDS))[0]:
                raise AbandonedError
        return await asyncio.to_thread(_received, answer)
    finally:
        answer.close()
        if process.pid is not None:
            process.kill()
            # Not awaited: whoever waits here may be cancelled, and it is to be reaped all the same.
            asyncio.get_running_loop().run_in_executor(None, _reap, process)


def _reap(process: SpawnProcess) -> None:
    process.join()
    process.close()


def _received(answer: Connection) -> Tally | Failure:
    try:
        found: Tally | Failure = answer.recv()
    except EOFError:
        return Failure(sentence="the simulation was ended from outside; try again")
    return found
