"""A batch: gathered within bounds, written whole, or halved until the record that spoils it stands alone."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from schemas.errors import Skippable
from schemas.topics import RESERVED_PREFIX
from sinks.base import Delivery, Limits, Partition


@dataclass(slots=True)
class Batch:
    """What has been read and not yet written."""

    limits: Limits
    reserved_keys: frozenset[bytes] = frozenset()
    """Keys of the processor's own that are delivered."""
    deliveries: list[Delivery] = field(default_factory=list)
    ends: dict[Partition, int] = field(default_factory=dict)
    """Where reading goes on after the batch; it counts the skipped records as well."""
    _count: int = 0
    _size: int = 0

    def add(self, delivery: Delivery) -> None:
        self._count += 1
        self._size += len(delivery.key) + len(delivery.value or b"")
        self.ends[delivery.topic, delivery.partition] = delivery.offset + 1
        if not delivery.key.startswith(RESERVED_PREFIX) or delivery.key in self.reserved_keys:
            self.deliveries.append(delivery)

    def leave_out(self, deliveries: Iterable[Delivery]) -> None:
        """Carry these not on; reading goes on behind them all the same."""
        left = {(delivery.topic, delivery.partition, delivery.offset) for delivery in deliveries}
        self.deliveries = [each for each in self.deliveries if (each.topic, each.partition, each.offset) not in left]

    @property
    def is_full(self) -> bool:
        return self._count >= self.limits.records or self._size >= self.limits.size


def ends(deliveries: Iterable[Delivery]) -> dict[Partition, int]:
    """Return where reading goes on after *deliveries*."""
    return {(delivery.topic, delivery.partition): delivery.offset + 1 for delivery in deliveries}


def isolate(
    batch: Sequence[Delivery],
    write: Callable[[Sequence[Delivery]], None],
    set_aside: Callable[[Delivery, Skippable], None],
) -> None:
    """Write all of *batch* that can be written, in order, and set aside each record that can not."""
    try:
        write(batch)
    except Skippable as error:
        if len(batch) <= 1:
            for poison in batch:
                set_aside(poison, error)
            return
    else:
        return
    middle = len(batch) // 2
    isolate(batch[:middle], write, set_aside)
    isolate(batch[middle:], write, set_aside)
