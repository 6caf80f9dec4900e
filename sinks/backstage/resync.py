"""Every shard compared with what Backstage says of it, at an interval and after an outage; what differs is put anew."""

import random
import time
from collections.abc import Callable, Mapping

import structlog

from schemas.metrics import BackstageMetrics
from sinks.backstage.circuit import Pace
from sinks.backstage.client import ShardStatus
from sinks.backstage.emissions import Emissions, Standing
from sinks.backstage.feed import Feed
from sinks.backstage.line import Line

log = structlog.get_logger(__name__)


class Resync:
    """One at a time, a shard with each step, so that records are read in between."""

    def __init__(
        self,
        emissions: Emissions,
        line: Line,
        feed: Feed,
        metrics: BackstageMetrics,
        *,
        is_whole: Callable[[], bool],
        shards: int,
        interval: float,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emissions = emissions
        self._line = line
        self._feed = feed
        self._metrics = metrics
        self._is_whole = is_whole
        self._shards = shards
        self._interval = interval
        self._pace = pace
        self._clock = clock
        self._due = clock()
        self._left: list[int] | None = None
        self._finished = 0

    def step(self) -> None:
        """Go on, if something is due. Raises Retriable for what may pass; the next step is the next try."""
        if self._line.is_left_alone:
            return
        if self._line.was_away and self._left is None:
            self._due = min(self._due, self._clock())
        if self._left is None:
            if self._clock() >= self._due:
                self._begin()
        elif self._left:
            self._feed.put(self._left[-1])
            self._metrics.resynced.labels("put").inc()
            # Not before: what fails is done again.
            self._left.pop()
        if self._left == []:
            self._finish()

    def _begin(self) -> None:
        self._due = self._clock() + self._pace.gate_seconds
        if not self._is_whole():
            self._line.was_away = False
            return
        status = self._line.status()
        with self._emissions.transaction() as cursor:
            standings = self._emissions.standings(cursor)
        is_forced = self._finished % self._pace.whole_every == self._pace.whole_every - 1
        self._left = [*range(self._shards)] if is_forced else different(status.shards, standings)
        self._line.was_away = False
        self._metrics.resynced.labels("unchanged").inc(self._shards - len(self._left))
        log.info("backstage.resync", shards=len(self._left), forced=is_forced)

    def _finish(self) -> None:
        # Whatever was away in between has to be compared once more: `was_away` stays as it is.
        self._left = None
        self._finished += 1
        # Never in step with others that ask the same Backstage.
        self._due = self._clock() + self._interval * (0.9 + random.random() / 10)  # noqa: S311 - to spread, not to hide
        self._metrics.last_resync.set(time.time())


def different(status: Mapping[int, ShardStatus], standings: Mapping[int, Standing]) -> list[int]:
    """Return the shards of which Backstage does not show what was confirmed, or that hold what others own."""
    return [shard for shard, said in status.items() if not _is_same(said, standings.get(shard, Standing()))]


def _is_same(said: ShardStatus, standing: Standing) -> bool:
    return said.hash == standing.hash and said.entities in {None, standing.entities} and not standing.conflicts
