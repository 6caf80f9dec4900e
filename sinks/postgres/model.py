"""An entity in the canonical model: what is a service, a team, a dependency and a runbook. Pure."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL

import orjson

from schemas.refs import EntityRef
from sinks.postgres.relations import Relation, canonical_ref, relations, texts

Row = dict[str, Any]

TEAM_KIND: Final = "group"

_NAMESPACE: Final = NAMESPACE_URL.bytes
_IDS_KEPT: Final = 65_536
_TEXT_MAX: Final = 500
"""Characters of a name that is no reference: a longer one fits into no index."""
_EXACT: Final = 2**53
_DEPENDS_ON: Final = "dependsOn"
_RUNBOOK: Final = "runbook"
_OF_SERVICES: Final = frozenset(
    {"name", "description", "tier", "ownerTeam", "lifecycle", "scheduleId", "dependencies", "runbooks"}
)
"""Facts that have a column or a table of their own; all others are in `metadata`."""
_OF_TEAMS: Final = frozenset({"name", "email", "slackChannel"})


class Model(NamedTuple):
    """What one entity is in the canonical model: rows by column, what they refer to not looked up yet."""

    relations: list[Relation]
    service: Row | None = None
    """With the lists `dependencies` and `runbooks`."""
    team: Row | None = None


def id_of(tenant: str, *parts: str) -> str:
    """Return the id of an entity, or of what stands below it: the same for ever."""
    name = f"mainstem:{tenant}|{'|'.join(parts)}".encode()
    # uuid5(NAMESPACE_URL, name) at a third of its price: there is one for each dependency.
    text = hashlib.sha1(_NAMESPACE + name, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


entity_id: Final = lru_cache(maxsize=_IDS_KEPT)(id_of)
"""The same for entities: each is named again and again."""


def model_of(row: Mapping[str, Any], service_kinds: Iterable[str]) -> Model:
    """Return what the row of an entity is, its JSON as text; nothing when that is no JSON."""
    try:
        entity, facts, provenance = (_object(orjson.loads(row[name])) for name in ("entity", "service", "provenance"))
    except orjson.JSONDecodeError:
        return Model([])
    ref = EntityRef.parse(row["entity_ref"])
    said = _Said(row["tenant"], ref, _object(entity.get("metadata")), _object(entity.get("spec")), facts, provenance)
    if ref.kind in service_kinds:
        stated = {name: value for name, value in said.spec.items() if name != _DEPENDS_ON}
        return Model(relations(ref.kind, ref.namespace, stated), service=_service(said))
    related = relations(ref.kind, ref.namespace, said.spec)
    return Model(related, team=_team(said) if ref.kind == TEAM_KIND else None)


class _Said(NamedTuple):
    """All that is known of one entity."""

    tenant: str
    ref: EntityRef
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    facts: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def name(self) -> str:
        return _text(self.facts.get("name")) or _text(self.metadata.get("name")) or self.ref.name

    @property
    def source(self) -> str:
        """Return the connector that won the name."""
        return self.strongest("/metadata/name") or ""

    def strongest(self, pointer: str) -> str | None:
        """Return the connector that won a field, of several the strongest."""
        return next(texts(self.provenance.get(pointer)), None)


def _service(said: _Said) -> Row:
    ref, source = str(said.ref), said.source
    owner_ref, owner_id = _owner(said)
    return {
        "id": entity_id(said.tenant, ref),
        "tenant_id": said.tenant,
        "external_id": ref,
        "source": source,
        "kind": said.ref.kind,
        "name": said.name,
        "description": _text(said.facts.get("description")) or _text(said.metadata.get("description")),
        "tier": _text(said.facts.get("tier")),
        "owner_id": owner_id,
        "owner_ref": owner_ref,
        "schedule_id": _text(said.facts.get("scheduleId")),
        "lifecycle": _text(said.facts.get("lifecycle")) or _text(said.spec.get("lifecycle")),
        "tags": list(texts(said.metadata.get("tags"))),
        "metadata": {name: value for name, value in said.facts.items() if name not in _OF_SERVICES},
        "dependencies": _dependencies(said, ref, source),
        "runbooks": _runbooks(said, ref, source),
    }


def _owner(said: _Said) -> tuple[str | None, str | None]:
    """Return the reference of the team, or the words that are none; and the team's id."""
    text = _text(said.facts.get("ownerTeam")) or _text(said.spec.get("owner"))
    if text is None:
        return None, None
    ref = canonical_ref(text, TEAM_KIND, said.ref.namespace)
    return (text[:_TEXT_MAX], None) if ref is None else (ref, entity_id(said.tenant, ref))


def _team(said: _Said) -> Row:
    profile = _object(said.spec.get("profile"))
    members = (canonical_ref(text, "user", said.ref.namespace) for text in texts(said.spec.get("members")))
    shown = _text(profile.get("displayName")) or _text(said.metadata.get("title"))
    return {
        "id": entity_id(said.tenant, str(said.ref)),
        "tenant_id": said.tenant,
        "external_id": str(said.ref),
        "source": said.source,
        "name": _text(said.facts.get("name")) or shown or said.name,
        "email": _text(said.facts.get("email")) or _text(profile.get("email")),
        "slack_channel": _text(said.facts.get("slackChannel")),
        "members": list(dict.fromkeys(entity_id(said.tenant, ref) for ref in members if ref is not None)),
        "metadata": {name: value for name, value in said.facts.items() if name not in _OF_TEAMS},
    }


def _dependencies(said: _Said, ref: str, source: str) -> list[Row]:
    """Return what the facts name, then what only the entity names; each target once.

    Of two spellings of one target the first counts; it is critical if either says so.
    """
    found: dict[str, Row] = {}
    named = _objects(said.facts.get("dependencies"))
    told_by = said.strongest("/service/dependencies") or source
    told = [(each.get("target"), _text(each.get("type")), each.get("isCritical") is True, told_by) for each in named]
    stated_by = said.strongest("/spec/dependsOn") or source
    told += [(text, None, False, stated_by) for text in texts(said.spec.get(_DEPENDS_ON))]
    for spelled, kind, is_critical, connector in told:
        text = _text(spelled)
        if text is None or len(text) > _TEXT_MAX:
            continue
        target = canonical_ref(text, "component", said.ref.namespace) or text.lower()
        if target in found:
            found[target]["is_critical"] |= is_critical
            continue
        found[target] = {
            "id": id_of(said.tenant, ref, target),
            "target_id": entity_id(said.tenant, target),
            "target_ref": target,
            "dependency_type": kind or "runtime",
            "is_critical": is_critical,
            "source": connector,
        }
    return list(found.values())


def _runbooks(said: _Said, ref: str, source: str) -> list[Row]:
    """Return what the facts name, then links of the entity that are of that type; each address once."""
    found: dict[str, Row] = {}
    told_by = said.strongest("/service/runbooks") or source
    told = [(each, _text(each.get("type")), told_by) for each in _objects(said.facts.get("runbooks"))]
    linked_by = said.strongest("/metadata/links") or source
    links = (each for each in _objects(said.metadata.get("links")) if _is_runbook(each.get("type")))
    for each, kind, connector in (*told, *((link, None, linked_by) for link in links)):
        url = _text(each.get("url"))
        if url is None or url in found:
            continue
        found[url] = {
            "id": id_of(said.tenant, ref, url),
            "position": len(found),
            "title": _text(each.get("title")) or url,
            "url": url,
            "runbook_type": kind,
            "source": connector,
        }
    return list(found.values())


def _is_runbook(kind: Any) -> bool:
    return isinstance(kind, str) and kind.lower() == _RUNBOOK


def _text(value: Any) -> str | None:
    """Return a text that says something; a whole number is one as well."""
    if isinstance(value, str):
        return value or None
    # A larger one may come back from Postgres in another spelling.
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _EXACT
    return str(value) if is_number else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in (value if isinstance(value, list) else ()) if isinstance(each, dict))
