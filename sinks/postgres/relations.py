"""The relations that an entity states of itself, as Backstage derives them from `spec`."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from schemas.refs import EntityRef

_ANY: Final = "component"
"""The kind of a target that names none, where none is prescribed."""
_REFS_KEPT: Final = 65_536


class Relation(NamedTuple):
    """The entity is *type* of *target_ref*, which is *inverse* of the entity."""

    type: str
    target_ref: str
    inverse: str


class _Field(NamedTuple):
    kind: str
    type: str
    inverse: str


_OF_ALL: Final = {
    "owner": _Field("group", "ownedBy", "ownerOf"),
    "system": _Field("system", "partOf", "hasPart"),
    "domain": _Field("domain", "partOf", "hasPart"),
    "subcomponentOf": _Field("component", "partOf", "hasPart"),
    "subdomainOf": _Field("domain", "partOf", "hasPart"),
    "dependsOn": _Field(_ANY, "dependsOn", "dependencyOf"),
    "dependencyOf": _Field(_ANY, "dependencyOf", "dependsOn"),
    "providesApis": _Field("api", "providesApi", "apiProvidedBy"),
    "consumesApis": _Field("api", "consumesApi", "apiConsumedBy"),
}
_FIELDS: Final[Mapping[str, Mapping[str, _Field]]] = {
    "group": {
        "parent": _Field("group", "childOf", "parentOf"),
        "children": _Field("group", "parentOf", "childOf"),
        "members": _Field("user", "hasMember", "memberOf"),
    },
    "user": {"memberOf": _Field("group", "memberOf", "hasMember")},
}
"""Of the kinds that have fields of their own, which of them name other entities."""


def relations(kind: str, namespace: str, spec: Mapping[str, Any]) -> list[Relation]:
    """Return each relation once. What is no reference relates to nothing."""
    found: dict[Relation, None] = {}
    for name, field in _FIELDS.get(kind, _OF_ALL).items():
        for text in texts(spec.get(name)):
            ref = canonical_ref(text, field.kind, namespace)
            if ref is not None:
                found[Relation(field.type, ref, field.inverse)] = None
    return list(found)


def texts(value: Any) -> Iterator[str]:
    """Yield a text, or those of a list."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (each for each in value if isinstance(each, str))


@lru_cache(maxsize=_REFS_KEPT)
def canonical_ref(text: str, kind: str, namespace: str) -> str | None:
    """Return the full reference; *kind* and *namespace* stand in for what is missing. None: it is none."""
    try:
        return str(EntityRef.parse(text, kind=kind, namespace=namespace))
    except ValueError:
        return None
