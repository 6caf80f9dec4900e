"""Which partition a key belongs to."""

from functools import lru_cache
from typing import Any

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner gives *key*."""
    hashed: Any = murmur2(key)
    return int((hashed & 0x7FFFFFFF) % partitions)
