"""From what a source gave to what is published of it: which entity, whether anything changed, and the change itself.

Nothing here reads a clock or writes anything.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

import orjson

from schemas.canonical import canonical_json
from schemas.errors import ValidationError
from schemas.refs import DEFAULT_NAMESPACE, DEFAULT_TENANT, EntityRef, entity_key
from sources.base import Item
from sources.ledger import Entry, Gone, Known
from sources.mapping import Mapper
from sources.publisher import Draft, checked

Verdict = Literal["new", "changed", "renewed", "unchanged", "again"]
"""`again`: this run has seen it before."""

_EVER: Final = -(2**63)
_MILLISECOND: Final = timedelta(milliseconds=1)
_UNHASHED: Final = frozenset({"observedAt", "version", "id"})


class Candidate(NamedTuple):
    """An item, and the entity that it is about. *content_hash* is empty where it cannot be told: publish it.

    One of these for every entity of every run.
    """

    item: Item
    entity_ref: str
    content_hash: str
    is_delete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A change to publish, and what the ledger will know of it once Kafka has acknowledged it."""

    draft: Draft
    entry: Entry


class Sieve:
    """One connector's way from item to draft.

    *renewal*: after how long what has not changed is published again, since its record would die otherwise.
    """

    def __init__(
        self,
        connector: str,
        mapper: Mapper,
        *,
        tenant: str = DEFAULT_TENANT,
        is_complete: bool = False,
        renewal: timedelta | None = None,
    ) -> None:
        self._connector, self._mapper = connector, mapper
        self.adding: Final = mapper.adding
        """See :attr:`sources.mapping.Mapper.adding`."""
        self._tenant, self._is_complete = tenant, is_complete
        self._renewal = renewal
        self.fingerprint: Final = f"{mapper.fingerprint}:{tenant}:{int(is_complete)}"
        """Changes whenever the same item may lead to another change."""
        key = blake2b(self.fingerprint.encode(), digest_size=32).digest()
        self._hasher = blake2b(digest_size=16, key=key)

    def candidate(self, item: Item) -> Candidate | None:
        """Return which entity *item* is about; None when it cannot be told."""
        change = item.change
        is_delete = change.get("op") == "delete"
        ref = _stated_ref(change) if is_delete else _entity_ref(change.get("entity"))
        if ref is None:
            return None
        return Candidate(item, ref, "" if is_delete else self._hash(change), is_delete)

    def lives_from(self, now_ms: int) -> int:
        """Return when that was observed, or later, whose record lives on: what is older is published again."""
        return _EVER if self._renewal is None else now_ms - int(self._renewal / _MILLISECOND) + 1

    def verdict(self, candidate: Candidate, known: Known | None, *, now_ms: int) -> Verdict:
        if known is None:
            return "new"
        if known.is_seen:
            return "again"
        if not candidate.content_hash or known.content_hash != candidate.content_hash:
            return "changed"
        if known.observed_at < self.lives_from(now_ms):
            return "renewed"
        return "unchanged"

    def prepared(
        self, candidate: Candidate, known: Known | None, now_ms: int, silent: set[str] | None = None
    ) -> Prepared | None:
        """Return the change to publish; None when the connector leaves the entity out. Raises Skippable.

        It was observed *now_ms*, in epoch ms, unless the source names a time that has come already. *silent*: see
        :meth:`sources.mapping.Mapper.map`.
        """
        change = self._mapper.map(candidate.item.change, silent)
        if change is None:
            return None
        seen_at = now_ms if known is None else max(now_ms, known.observed_at + 1)
        if change.get("observedAt") is None:
            change = {**change, "observedAt": seen_at}
        draft, record = checked(change, self._connector, tenant=self._tenant, is_complete=self._is_complete)
        if record.observed_at > seen_at:
            change = {**change, "observedAt": seen_at}
            draft, record = checked(change, self._connector, tenant=self._tenant, is_complete=self._is_complete)
        entry = Entry(
            entity_ref=draft.entity_ref,
            scope=candidate.item.scope,
            content_hash=candidate.content_hash,
            generation=None if change.get("generation") is None else record.generation,
            source_version=None if change.get("version") is None else record.version,
            observed_at=record.observed_at,
        )
        # The record's own time is that of the same clock: the processor reads no observedAt far ahead of it.
        return Prepared(draft=replace(draft, timestamp=now_ms), entry=entry)

    def hear(self, candidate: Candidate, silent: set[str]) -> None:
        """Take from *silent* what finds something in an entity that is not published."""
        with suppress(ValidationError):
            self._mapper.map(candidate.item.change, silent)

    def deletion(self, gone: Gone, now_ms: int) -> Draft:
        """See :func:`deletion`."""
        return deletion(self._tenant, gone, now_ms)

    def _hash(self, change: Mapping[str, Any]) -> str:
        content = change
        if not _UNHASHED.isdisjoint(change):
            content = {key: value for key, value in change.items() if key not in _UNHASHED}
        try:
            text = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:
            return ""
        hasher = self._hasher.copy()
        hasher.update(text)
        return hasher.hexdigest()


def deletion(tenant: str, gone: Gone, now_ms: int) -> Draft:
    """Return the delete of what was published before: it outranks that, whatever the clocks say."""
    change: dict[str, Any] = {
        "op": "delete",
        "entityRef": gone.entity_ref,
        "observedAt": max(now_ms, gone.observed_at + 1),
    }
    if gone.source_version is not None:
        change["version"] = gone.source_version
    if gone.generation is not None:
        change["generation"] = gone.generation
    key = entity_key(tenant, gone.entity_ref)
    return Draft(entity_ref=gone.entity_ref, key=key, value=canonical_json(change), timestamp=now_ms)


def _stated_ref(change: Mapping[str, Any]) -> str | None:
    stated = change.get("entityRef")
    try:
        return str(EntityRef.parse(stated)) if isinstance(stated, str) else None
    except ValueError:
        return None


def _entity_ref(entity: object) -> str | None:
    """Return the reference of a descriptor, unchecked but for the types: what is published is checked as a whole."""
    if not isinstance(entity, dict):
        return None
    kind, metadata = entity.get("kind"), entity.get("metadata")
    if not (isinstance(kind, str) and isinstance(metadata, dict)):
        return None
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not (isinstance(name, str) and (namespace is None or isinstance(namespace, str))):
        return None
    ref = f"{kind}:{namespace or DEFAULT_NAMESPACE}/{name}".lower()
    if ref.isascii() and "\0" not in ref:
        return ref
    # It may be none, and is looked up all the same: Postgres takes neither NUL nor halves of pairs.
    return ref.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")
