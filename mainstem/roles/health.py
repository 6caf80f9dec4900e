"""Health that follows progress: ready means that the lag is zero or falls, not that a process exists."""

import time
from collections.abc import Callable
from typing import Final

from mainstem.monitor import Readiness

PATIENCE_SECONDS: Final = 30.0
"""How long records may wait while none is finished, before a role is no longer ready. Keeping up is another matter:
a lag that grows although records are finished is told by an alert."""


class Progress:
    """Watches a lag and a count of what is done; it sees what moves only when it is asked, often enough."""

    def __init__(
        self, lag: Callable[[], int | None], done: Callable[[], int], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lag, self._done, self._clock = lag, done, clock
        self._last = (-1, clock())

    def readiness(self) -> Readiness:
        """A lag of None says that the role has not begun, or not begun again."""
        lag, done, now = self._lag(), self._done(), self._clock()
        if done != self._last[0] or not lag:
            self._last = (done, now)
        waited = now - self._last[1]
        is_ready = lag is not None and (lag == 0 or waited < PATIENCE_SECONDS)
        return Readiness(is_ready=is_ready, detail={"lag": lag, "done": done})
