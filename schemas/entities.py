"""The merged entity: one answer, and for every field of it the connector that gave it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from schemas.canonical import canonical_json, content_hash

Provenance = Mapping[str, str | list[str]]
"""JSON pointer into `{"entity", "service"}` (with `/entity` left out) to the connector that won, or, for a union, to
every connector that gave an element, by precedence."""


class Texts(NamedTuple):
    """The canonical JSON of an entity's three parts."""

    entity: bytes
    service: bytes
    provenance: bytes


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
    _content: tuple[bytes, bytes] | None = field(default=None, compare=False, repr=False)
    _texts: Texts | None = field(default=None, compare=False, repr=False)

    @property
    def texts(self) -> Texts:
        """What is hashed and published, encoded once."""
        if self._texts is None:
            texts = Texts(*self._hashed(), canonical_json(self.provenance))
            object.__setattr__(self, "_texts", texts)
            return texts
        return self._texts

    @property
    def content_hash(self) -> str:
        return content_hash(b'{"entity":%b,"service":%b}' % self._hashed())

    @property
    def view_hash(self) -> str:
        """Changes whenever provenance or the stale connectors do."""
        view = self.texts.provenance + canonical_json(self.stale)
        return hashlib.blake2b(view, digest_size=16).hexdigest()

    def _hashed(self) -> tuple[bytes, bytes]:
        """Entity and service; nobody asks for the provenance of what was published before."""
        if self._content is None:
            content = canonical_json(self.entity), canonical_json(self.service)
            object.__setattr__(self, "_content", content)
            return content
        return self._content


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
