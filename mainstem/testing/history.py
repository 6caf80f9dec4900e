"""A made-up history of entities, as a sink gets it delivered: the same for the same seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from schemas.canonical import canonical_json, content_hash
from schemas.codec import encode_entity, encode_records
from schemas.entities import MergedEntity, Vanished
from schemas.records import Record, Records
from schemas.topics import Topics
from sinks.base import Delivery

PARTITIONS: Final = 2
POISONS: Final = (b"", b"\x00\x7f\xff\xff\xff a schema that nobody knows", b'{"entity": "JSON, and no Avro"}')
"""Values of the entities topic that no processor writes."""

_EPOCH: Final = 1_700_000_000
_ENTITIES: Final = 7


class History:
    """Records of the entities topic, and of the changelog where a sink reads that too.

    Versions rise within a partition and offsets have gaps, as in a compacted topic. Entities vanish, come back, and
    some vanish that never were.
    """

    def __init__(self, topics: Topics, read: Sequence[str], *, seed: int, length: int = 60) -> None:
        self._topics = topics
        self._read = read
        self._draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._offsets: dict[tuple[str, int], int] = {}
        self.content: dict[int, MergedEntity | Vanished] = {}
        """What each version says."""
        self.deliveries = [delivery for count in range(length) for delivery in self._next(count)]

    def with_poison(self) -> tuple[list[Delivery], list[Delivery]]:
        """Return the deliveries with poison at the start, at the end and here and there; and the poison alone."""
        rest = self.deliveries
        entities = [place for place, found in enumerate(rest) if found.topic == self._topics.entities]
        places = sorted({entities[0], entities[-1], *self._draw.sample(entities, 5)})
        poison = [
            replace(rest[place], value=POISONS[number % len(POISONS)], headers=[])
            for number, place in enumerate(places)
        ]
        spoiled = list(rest)
        for place, found in zip(places, poison, strict=True):
            spoiled[place] = found
        return spoiled, poison

    def _next(self, count: int) -> Iterator[Delivery]:
        name = self._draw.randrange(_ENTITIES)
        partition, version = name % PARTITIONS, (_EPOCH << 20) + count
        ref = f"component:default/e{name}"
        is_gone = self._draw.random() < 0.25  # noqa: PLR2004 - often enough to come back several times
        told = _vanished(ref, version) if is_gone else _entity(ref, version, self._draw.randrange(3))
        self.content[version] = told
        value = None if isinstance(told, Vanished) else encode_entity(told)
        headers = told.headers() if isinstance(told, Vanished) else []
        yield self._delivery(self._topics.entities, partition, ref, value, headers)
        if self._topics.changelog in self._read:
            held = None if is_gone else encode_records(_records(version))
            yield self._delivery(
                self._topics.changelog, partition, ref, held, [("version", b"%d" % version)] if is_gone else []
            )

    def _delivery(
        self, topic: str, partition: int, ref: str, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> Delivery:
        offset = self._offsets.get((topic, partition), -1) + self._draw.choice((1, 1, 1, 2, 5))
        self._offsets[topic, partition] = offset
        return Delivery(
            topic=topic,
            partition=partition,
            offset=offset,
            key=ref.encode(),
            value=value,
            headers=list(headers),
            timestamp=_EPOCH * 1000,
        )


def _entity(ref: str, version: int, tier: int) -> MergedEntity:
    name = ref.partition("/")[2]
    entity = {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name, "namespace": "default", "description": f"as of {version}: ä 😀"},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-pay"},
    }
    service = {"tier": f"tier{tier}"}
    return MergedEntity(
        tenant="default",
        entity_ref=ref,
        version=version,
        content_hash=content_hash(canonical_json({"entity": entity, "service": service})),
        entity=entity,
        service=service,
        provenance={"/spec/owner": "git", "/service/tier": "cmdb"},
        change="updated",
        changed=["/metadata/description"],
        stale=[],
        merged_at=_EPOCH * 1000,
    )


def _vanished(ref: str, version: int) -> Vanished:
    return Vanished(tenant="default", entity_ref=ref, version=version, merged_at=_EPOCH * 1000, reason="deleted")


def _records(version: int) -> Records:
    content = canonical_json({"entity": {"kind": "Component", "metadata": {"name": "e"}}, "service": {}})
    record = Record(
        connector="git",
        generation=0,
        version=version,
        observed_at=_EPOCH * 1000,
        timestamp=_EPOCH * 1000,
        ttl=None,
        priority=None,
        content_hash=content_hash(content),
        content=content,
        id="mainstem.changes.git/0/1",
    )
    return Records(version=version, merged_at=_EPOCH * 1000, content_hash="h", by_connector={"git": record})
