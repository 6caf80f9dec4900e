"""The merged entity: one answer, and for every field of it the connector that gave it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schemas.canonical import canonical_json, content_hash

Provenance = Mapping[str, str | list[str]]
"""JSON pointer into `{"entity", "service"}` (with `/entity` left out) to the connector that won, or, for a union, to
every connector that gave an element, by precedence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """An entity as all its live records together describe it at one moment."""

    entity: dict[str, Any]
    service: dict[str, Any]
    provenance: Provenance
    values: Mapping[str, Any]
    """The value at each pointer of `provenance`."""
    stale: tuple[str, ...]
    """The connectors whose record is stale, sorted."""

    @property
    def content_hash(self) -> str:
        return content_hash(canonical_json({"entity": self.entity, "service": self.service}))

    @property
    def view_hash(self) -> str:
        """Changes whenever provenance or the stale connectors do."""
        view = canonical_json([self.provenance, self.stale])
        return hashlib.blake2b(view, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedEntity:
    """An entity as it is published: the value of the entities topic."""

    tenant: str
    entity_ref: str
    version: int
    content_hash: str
    entity: dict[str, Any]
    service: dict[str, Any]
    provenance: Provenance
    change: Literal["created", "updated"]
    changed: list[str]
    stale: list[str]
    merged_at: int
    """Epoch ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """The null value of the entities topic: nobody vouches for the entity any more."""

    tenant: str
    entity_ref: str
    version: int
    merged_at: int
    reason: str
    """`expired` when the last asserting record's life ended, else `deleted`."""

    def headers(self) -> list[tuple[str, bytes]]:
        return [
            ("version", b"%d" % self.version),
            ("mergedAt", b"%d" % self.merged_at),
            ("reason", self.reason.encode()),
        ]
