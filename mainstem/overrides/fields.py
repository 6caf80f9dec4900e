"""Which field of a merged entity an override is about, and the change that a set of overrides makes."""

import re
from collections.abc import Mapping
from typing import Any, Final

from schemas.canonical import pointer

MAPS: Final = (("metadata", "annotations"), ("metadata", "labels"))
_SECTIONS: Final = ("metadata", "spec", "service")
_IDENTITY: Final = (("metadata", "name"), ("metadata", "namespace"))
_TEXTS: Final = frozenset({"tier", "ownerTeam", "lifecycle", "description", "scheduleId", "slackChannel", "email"})
_FAULT: Final = re.compile(r"~(?![01])|\0")

Place = tuple[str, ...]


class MalformedPointerError(ValueError):
    """Not a JSON pointer; *position* is that of the first fault."""

    def __init__(self, position: int) -> None:
        super().__init__(
            "a field is a JSON pointer and begins with /, such as /spec/owner; ~ is written ~0 in it, / ~1"
        )
        self.position = position


def parse_field(text: str) -> Place:
    """Return the tokens of a JSON pointer. Raises MalformedPointerError."""
    fault = _FAULT.search(text)
    if not text.startswith("/") or fault is not None:
        raise MalformedPointerError(0 if fault is None or not text.startswith("/") else fault.start())
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text[1:].split("/"))


def objection(place: Place) -> str | None:
    """Return why nothing at *place* can be overridden, None where it can be: where one connector's word is taken."""
    if place in _IDENTITY or place[0] in ("apiVersion", "kind"):
        return "what an entity is called cannot be overridden"
    if place[0] not in _SECTIONS or len(place) == 1:
        return "a field of metadata, spec or service can be overridden, such as /spec/owner"
    if place in MAPS:
        return f"one key at a time can be overridden, below {pointer(*place)}/"
    whole = 3 if place[:2] in MAPS else 2
    if len(place) > whole:
        return f"the value is taken whole: override {pointer(*place[:whole])}"
    return None


def mismatch(place: Place, value: Any) -> str | None:
    """Return why a service could not be read with *value* at *place*, None where it could. None takes a field away."""
    if place[0] != "service" or value is None:
        return None
    if place[1] in _TEXTS and not isinstance(value, str):
        return "must be a text"
    if place[1] == "onCall" and not (
        isinstance(value, dict) and any(_is_told(value, key) for key in ("userId", "name"))
    ):
        return "must be an object with a text userId or name"
    return None


def _is_told(value: Mapping[str, Any], key: str) -> bool:
    return isinstance(value.get(key), str) and bool(value[key])


def change_of(ref: str, identity: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the change that says *values*, by field, of the entity *ref*; without any, that nothing is said of it."""
    if not values:
        return {"op": "delete", "entityRef": ref}
    metadata = {"name": identity["name"], "namespace": identity["namespace"]}
    body: dict[str, Any] = {"metadata": metadata, "spec": {}, "service": {}}
    for field, value in values.items():
        *above, last = parse_field(field)
        holder = body
        for token in above:
            holder = holder.setdefault(token, {})
        holder[last] = value
    entity = {
        "apiVersion": identity["apiVersion"],
        "kind": identity["kind"],
        "metadata": metadata,
        "spec": body["spec"],
    }
    return {"entityRef": ref, "entity": entity, "service": body["service"]}


def identity_of(entity: Mapping[str, Any]) -> dict[str, str]:
    """Return how a merged entity is called, spelled as it is."""
    metadata = entity["metadata"]
    return {
        "apiVersion": entity["apiVersion"],
        "kind": entity["kind"],
        "name": metadata["name"],
        "namespace": metadata["namespace"],
    }
