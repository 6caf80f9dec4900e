"""What is emitted of a merged entity: its descriptor, by Backstage's rules, with Mainstem as its location."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from schemas.descriptor_kinds import KINDS
from schemas.descriptors import faults, received
from schemas.refs import EntityRef

LOCATIONS: Final = ("backstage.io/managed-by-location", "backstage.io/managed-by-origin-location")
"""Annotations without which an entity never appears."""

_STOCK: Final = frozenset(kind.lower() for kind in KINDS)


def shard_of(key: bytes, shards: int) -> int:
    """Return the shard of an entity key: the same for ever, as long as *shards* is."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) % shards


def located(entity: Mapping[str, Any], location: str | None) -> dict[str, Any]:
    """Return *entity* as it is emitted, without what Backstage alone says of one.

    Both annotations say *location*, whatever a connector said; with None they are left to Backstage.
    """
    kept = received(dict(entity))
    metadata = kept["metadata"]
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in LOCATIONS}
    if location is not None:
        annotations |= dict.fromkeys(LOCATIONS, location)
    rest = {name: value for name, value in metadata.items() if name != "annotations"}
    return {**kept, "metadata": {**rest, **({"annotations": annotations} if annotations else {})}}


def refusals(entity_ref: str, entity: Mapping[str, Any], *, kinds: frozenset[str] | None) -> list[tuple[str, str]]:
    """Return what Backstage would refuse of *entity*: (JSON pointer, sentence without payload text).

    A kind that is no stock one passes where *kinds* names it: somebody's Backstage has a processor for it.
    """
    ref = EntityRef.parse(entity_ref)
    kept = received(dict(entity))
    is_stock = ref.kind in _STOCK or kinds is None or ref.kind not in kinds
    found = faults(kept, complete=is_stock)
    if not found and _ref_of(kept) != entity_ref:
        found = [("/entity/metadata/name", "kind, namespace and name are not those of the entity's key")]
    return found


def _ref_of(entity: Mapping[str, Any]) -> str:
    metadata = entity["metadata"]
    return f"{entity['kind']}:{metadata['namespace']}/{metadata['name']}".lower()
