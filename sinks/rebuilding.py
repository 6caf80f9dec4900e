"""When a partition that is read anew has been read as a whole."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from sinks.base import Partition, Positions

FRESH_SECONDS: Final = 10.0
"""An end that was looked at longer ago than this is looked at again."""


class Goal(NamedTuple):
    """The end of a partition, and when (monotonic seconds) it was looked at."""

    end: int
    seen_at: float


class GapError(Exception):
    """The partition lost records while it was read anew: what was not seen may be there all the same."""


class Rebuilding:
    """Partitions that are read anew, and how far each must be read before what was not seen may be swept.

    The end as of the start would not do: a key may have been written again behind it, and compaction may have
    removed the record that lay before it. So the last stretch is read within moments.
    """

    def __init__(self, firsts: Positions, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.firsts = dict(firsts)
        """Of each partition, where reading anew began."""
        self._goals: dict[Partition, Goal] = {}
        self._clock = clock

    def is_finished(
        self, partition: Partition, position: int, watermarks: Callable[[Partition], tuple[int, int]]
    ) -> bool:
        """Tell whether all of *partition* was read. *watermarks*: its first offset, and the one behind its last.

        Raises GapError when a part of it may have been passed over.
        """
        goal = self._goals.get(partition)
        if goal is not None and position < goal.end:
            return False
        now = self._clock()
        low, end = watermarks(partition)
        if low > self.firsts[partition]:
            raise GapError
        if position >= end or (goal is not None and now - goal.seen_at < FRESH_SECONDS):
            return True
        self._goals[partition] = Goal(end, now)
        return False
