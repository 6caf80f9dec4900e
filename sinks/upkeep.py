"""What a sink's runner does beside carrying records on: rebuilds come to their end, quiet partitions are affirmed."""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog

from schemas.errors import Retriable
from schemas.metrics import SinkMetrics
from sinks.base import Partition, Sink
from sinks.membership import Interrupted, Membership
from sinks.placement import Placement
from sinks.rebuilding import GapError, Rebuilding

log = structlog.get_logger(__name__)

AFFIRM_SECONDS: Final = 600.0

T = TypeVar("T")


class Patience(Protocol):
    """Calls *act* until it succeeds, as a live member of the group."""

    def __call__(self, act: Callable[[], T]) -> T: ...


class Upkeep:
    """Called by the runner between batches, and at each assignment."""

    def __init__(
        self, sink: Sink, group: Membership, metrics: SinkMetrics, patiently: Patience, clock: Callable[[], float]
    ) -> None:
        self._sink = sink
        self._group = group
        self._metrics = metrics
        self._patiently = patiently
        self._clock = clock
        self._rebuilding = Rebuilding({})
        self._is_stored = False
        self._tend_at = clock() + sink.tend_seconds
        self._affirm_at = clock() + AFFIRM_SECONDS

    def begin(self, placement: Placement) -> None:
        self._rebuilding = Rebuilding(placement.rebuilding, clock=self._clock)
        self._is_stored = placement.is_stored
        self._count()

    def is_rebuilding(self, topic: str, partition: int) -> bool:
        return (topic, partition) in self._rebuilding.firsts

    def run(self) -> None:
        # Of what was revoked and not yet given back there is no position.
        for partition in sorted(self._rebuilding.firsts.keys() & self._group.positions.keys()):
            self._finish(partition)
        if self._clock() >= self._tend_at:
            self._tend_at = self._clock() + self._sink.tend_seconds
            self._tend()
        if self._is_stored and self._clock() >= self._affirm_at:
            self._affirm_at = self._clock() + AFFIRM_SECONDS
            self._affirm()

    def _finish(self, partition: Partition) -> None:
        """Sweep a partition that was read anew as a whole; one with a gap is begun once more."""
        position, name = self._group.positions[partition], self._sink.settings.name
        try:
            finished = self._patiently(
                partial(self._rebuilding.is_finished, partition, position, self._group.watermarks)
            )
        except GapError:
            log.warning("sink.rebuild_begun_again", sink=name, topic=partition[0], partition=partition[1])
            self._patiently(partial(self._sink.request_rebuild, [partition]))
            self._group.place_again()
            raise Interrupted from None
        if not finished:
            return
        swept = self._patiently(partial(self._sink.finish_rebuild, partition))
        del self._rebuilding.firsts[partition]
        self._count()
        self._metrics.rebuilds.labels(name, partition[0]).inc()
        self._metrics.swept.labels(name, partition[0]).inc(swept)
        log.info("sink.rebuilt", sink=name, topic=partition[0], partition=partition[1], swept=swept)

    def _tend(self) -> None:
        name = self._sink.settings.name
        try:
            self._metrics.purged.labels(name).inc(self._sink.tend())
        except Retriable as error:
            log.warning("sink.untended", sink=name, reason=str(error))

    def _affirm(self) -> None:
        """Let the sink know which partitions had nothing to read: it was not idle, it missed nothing."""
        quiet = {
            partition: position
            for partition, position in self._group.positions.items()
            if self._patiently(partial(self._group.watermarks, partition))[1] == position
        }
        if quiet:
            self._patiently(partial(self._sink.write, (), quiet))

    def _count(self) -> None:
        self._metrics.rebuilding.labels(self._sink.settings.name).set(len(self._rebuilding.firsts))
