"""Drives a sink as `mainstem sinks run` does, with a list for a log and no Kafka."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from schemas.errors import Retriable, Skippable
from sinks.base import Delivery, Partition, Sink
from sinks.batches import ends, isolate

PATIENCE: Final = 20
"""How often a call that may pass is repeated before the kit gives up; the real runner never does."""
REST_SECONDS: Final = 0.05
"""Before it is repeated, as the real runner rests: a sink may leave its system alone for a while."""


class MemoryRunner:
    """One member of a consumer group. Offsets are committed after each batch; poison is set aside by halving it."""

    def __init__(self, log: Sequence[Delivery], *, written: Callable[[Sequence[Delivery]], None]) -> None:
        """*written* is called with what has just been written, after each call that returned."""
        self._log = log
        self._written = written
        self.committed: dict[Partition, int] = {}
        self.dead_letters: list[Delivery] = []

    def start(self, sink: Sink) -> list[Delivery]:
        """Assign every partition to *sink*. Return what is left to be read, from where it or the group says."""
        partitions = sorted({(found.topic, found.partition) for found in self._log})
        stored = sink.stored_positions(partitions)
        begin = self.committed if stored is None else stored
        return [found for found in self._log if found.offset >= begin.get((found.topic, found.partition), 0)]

    def write(self, sink: Sink, batch: Sequence[Delivery]) -> None:
        """Write one batch as the runner does, without a commit."""
        written: dict[Partition, int] = {}

        def part(deliveries: Sequence[Delivery]) -> None:
            if not deliveries:
                return
            _patiently(lambda: sink.write(deliveries, ends(deliveries)))
            written.update(ends(deliveries))
            self._written(deliveries)

        isolate(batch, part, self._set_aside)
        left = {partition: end for partition, end in ends(batch).items() if written.get(partition) != end}
        if left:
            _patiently(lambda: sink.write((), left))

    def commit(self, batch: Sequence[Delivery]) -> None:
        self.committed |= ends(batch)

    def _set_aside(self, delivery: Delivery, _: Skippable) -> None:
        self.dead_letters.append(delivery)


def _patiently(act: Callable[[], None]) -> None:
    for _ in range(PATIENCE):
        try:
            act()
        except Retriable as error:
            last = error
            time.sleep(REST_SECONDS)
        else:
            return
    raise AssertionError(f"the sink still says Retriable after {PATIENCE} attempts: {last}")
