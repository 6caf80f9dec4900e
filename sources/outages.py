"""A connector's word about itself: it cannot reach its source, or can again."""

from collections.abc import Mapping
from typing import Literal

from schemas.canonical import canonical_json
from sources.publisher import Draft, Publisher

Op = Literal["outage", "recovered"]


def announce(client: Mapping[str, str | int | bool], topic: str, connector: str, op: Op, observed_at_ms: int) -> int:
    """Write *op* to every partition of *topic*, the changes topic of *connector*; return how many there are.

    Blocks until every partition has it. Raises Retriable when one does not: some may have it then, and saying it again
    with the same *observed_at_ms* changes nothing where it was heard. Raises TopicMismatchError without the topic.
    """
    publisher = Publisher(client, topic)
    value = canonical_json({"op": op, "observedAt": observed_at_ms})
    receipts = publisher.publish(
        Draft(entity_ref=connector, key=connector.encode(), value=value, partition=partition)
        for partition in range(publisher.partitions())
    )
    return len(receipts)
