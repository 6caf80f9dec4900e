"""Whether Backstage may be asked at all: after a row of failures it is probed once an interval, and left alone."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from schemas.errors import Retriable


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How patiently Backstage is asked."""

    failures: int = 3
    """So many in a row open the circuit."""
    probe_seconds: float = 30.0
    """While it is open, the time between two probes."""
    answer_seconds: float = 5.0
    """For so long others wait for what comes of a probe: they keep a shard, and a stop waits for them."""
    whole_every: int = 24
    """Every so many resyncs each shard is put anew, whatever Backstage says of it."""
    gate_seconds: float = 5.0
    """Between two looks at whether a resync may begin."""
    read_seconds: float = 60.0
    """For so long Backstage may say nothing to a request."""
    total_seconds: float = 120.0
    """The same for a whole shard; and what any answer may take."""
    batch_seconds: float = 120.0
    """What one call of `write` may take, well below the five minutes in which a consumer must poll."""


class Circuit:
    """Opens after failures in a row, or when Backstage asks to be left alone. Several threads may tell it of them."""

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        self._pace = pace
        self._clock = clock
        self._told = threading.Condition()
        self._failures = 0
        self._failures_ever = 0
        self._probe_at: float | None = None
        self._is_probed = False

    @property
    def is_open(self) -> bool:
        return self._probe_at is not None

    @property
    def seconds_left(self) -> float:
        """Until the next request may be sent; 0 = now."""
        return 0.0 if self._probe_at is None else max(0.0, self._probe_at - self._clock())

    def require(self) -> int:
        """Raise Retriable while Backstage is to be left alone; return what `failed` and `succeeded` want to know.

        While the circuit is open, whoever comes first after an interval probes. The others wait a moment for what comes
        of it, instead of failing beside a probe that succeeds.
        """
        with self._told:
            self._told.wait_for(lambda: not self._is_probed, min(self._pace.answer_seconds, self.seconds_left))
            if left := self.seconds_left:
                raise Retriable(f"Backstage is away: it is asked again in {left:.0f} s")
            if self.is_open:
                self._is_probed = True
                self._probe_at = self._clock() + self._pace.probe_seconds
            return self._failures_ever

    def failed(self, known: int, wait_seconds: float | None) -> None:
        """What fails at the same time counts once. *wait_seconds*: for how long Backstage asked to be left alone."""
        with self._told:
            if known == self._failures_ever:
                self._failures += 1
                self._failures_ever += 1
            elif wait_seconds is None:
                return
            if self._failures >= self._pace.failures or wait_seconds is not None:
                pause = self._pace.probe_seconds if self._failures >= self._pace.failures else 0.0
                self._probe_at = self._clock() + max(pause, wait_seconds or 0.0)
            self._end_probe()

    def succeeded(self, known: int) -> bool:
        """Return whether Backstage was away before, unless another request has failed since this one was begun."""
        with self._told:
            if known != self._failures_ever:
                return False
            was_away = self._failures > 0
            self._failures, self._probe_at = 0, None
            self._end_probe()
        return was_away

    def _end_probe(self) -> None:
        self._is_probed = False
        self._told.notify_all()
