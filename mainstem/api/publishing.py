"""Where Kafka is."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.topics import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Kafka:
    """Where changes are published to."""

    client: Mapping[str, str | int | bool]
    topics: Topics
