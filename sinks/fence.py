"""Records of a worker that had lost its partition when they arrived: passed over, its successor writes them anew.

All records of a partition come from one owner after the other, each with a higher epoch in its versions. What a worker
had sent before it was cut off may lie in the network and be appended behind what its successor wrote.
"""

from collections.abc import Mapping
from typing import Final

from schemas.codec import entity_version, records_version
from schemas.records import VERSION_BITS
from schemas.topics import Topics
from sinks.base import Delivery, Partition

AHEAD_SECONDS: Final = 366 * 86_400
"""How far a worker's clock may be ahead of the time of its record. Beyond that, no processor wrote the version."""


class Fence:
    """The highest epoch of each partition, up to where it was read."""

    def __init__(self, topics: Topics) -> None:
        self._versions = {topics.entities: entity_version, topics.changelog: records_version}
        self.epochs: dict[Partition, int] = {}

    def begin(self, epochs: Mapping[Partition, int]) -> None:
        """Reading goes on behind records of these epochs. A partition that is left out is judged by what is read."""
        self.epochs = dict(epochs)

    def is_late(self, delivery: Delivery) -> bool:
        """Whether a later owner of the partition had written before. To be asked once of each record, in order."""
        epoch = self._epoch(delivery)
        if epoch is None:
            return False
        at = (delivery.topic, delivery.partition)
        highest = self.epochs[at] = max(epoch, self.epochs.get(at, 0))
        return epoch < highest

    def _epoch(self, delivery: Delivery) -> int | None:
        """Return the epoch of the worker that wrote the record; None for what none has written."""
        version_of = self._versions.get(delivery.topic)
        if version_of is None:
            return None
        if delivery.value is not None:
            version = version_of(delivery.value)
        else:
            header = delivery.header("version") or b""
            version = int(header) if header.isdigit() else -1
        epoch = version >> VERSION_BITS
        return epoch if 0 <= epoch <= delivery.timestamp // 1000 + AHEAD_SECONDS else None
