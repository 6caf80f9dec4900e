"""Fold what several connectors say about one entity into the entity we publish."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from schemas.canonical import canonical_json, pointer
from schemas.entities import Entity
from schemas.records import Record
from streams.expiry import Band, band
from streams.policy import Policy
from streams.strategies import (
    Claims,
    Outcome,
    coupled,
    first,
    first_by_key,
    union_by_url,
    union_of_dependencies,
    union_of_refs,
    union_of_texts,
)

LOCATIONS: Final = (
    "backstage.io/managed-by-location",
    "backstage.io/managed-by-origin-location",
    "backstage.io/view-url",
    "backstage.io/edit-url",
)
"""Annotations that say where one and the same file lies: never mixed from several records."""

_IDENTITY: Final = ("namespace", "name")
_UNIONS: Final[Mapping[tuple[str, str], Callable[[Claims], Outcome | None]]] = {
    ("metadata", "tags"): union_of_texts,
    ("metadata", "links"): union_by_url,
    ("service", "dependencies"): union_of_dependencies,
    ("service", "runbooks"): union_by_url,
}
_REFS: Final = {"dependsOn": None, "dependencyOf": None, "providesApis": "api", "consumesApis": "api"}


class Live(NamedTuple):
    """A record that counts at the moment of the merge."""

    record: Record
    band: Band


def merge(records: Iterable[Record], policy: Policy, *, now: float) -> Entity | None:
    """Return the entity as it stands at *now* (epoch ms), or None when nobody vouches for it.

    Each field comes from the strongest live record that has it. The result does not depend on the order in
    which the records came. There is at most one record of each connector.
    """
    live = _by_precedence(records, policy, now)
    if not any(policy.of(record.connector).asserts_existence for record, _ in live):
        return None
    fold = _Fold([(record.connector, record.body) for record, _ in live])
    fold.identity()
    fold.metadata()
    fold.spec()
    fold.service()
    stale = sorted(record.connector for record, life in live if life is Band.STALE)
    return fold.entity(tuple(stale))


def changed_pointers(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the pointers whose value was added, removed or altered, sorted."""
    return sorted(
        at
        for at in before.keys() | after.keys()
        if at not in before or at not in after or _differ(before[at], after[at])
    )


def _differ(one: Any, other: Any) -> bool:
    # Python holds 1, 1.0 and true for equal, and a reader of the JSON does not.
    return bool(one != other) or (type(one) is not str and canonical_json(one) != canonical_json(other))


def _by_precedence(records: Iterable[Record], policy: Policy, now: float) -> list[Live]:
    live = [Live(record, band(record, policy, now)) for record in records]
    live = [entry for entry in live if entry.band is not Band.DEAD]
    live.sort(key=lambda entry: (entry.band, -policy.priority(entry.record), entry.record.connector))
    return live


class _Fold:
    """One merge under way: the bodies of the live records, strongest first, and what has come of them."""

    def __init__(self, bodies: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        self._bodies = bodies
        self._sections: dict[str, dict[str, Any]] = {"": {}, "metadata": {}, "spec": {}, "service": {}}
        self._provenance: dict[str, str | list[str]] = {}
        self._values: dict[str, Any] = {}

    def identity(self) -> None:
        connector, body = self._bodies[0]
        entity = body["entity"]
        self._set("", "apiVersion", Outcome(entity["apiVersion"], connector))
        self._set("", "kind", Outcome(entity["kind"], connector))
        for name in _IDENTITY:
            self._set("metadata", name, Outcome(entity["metadata"][name], connector))

    def metadata(self) -> None:
        for name, claims in self._claims("metadata").items():
            if name == "annotations":
                self._set_keys(name, {**first_by_key(claims), **self._locations(claims)})
            elif name == "labels":
                self._set_keys(name, first_by_key(claims))
            elif name not in _IDENTITY:
                self._set("metadata", name, _UNIONS.get(("metadata", name), first)(claims))

    def spec(self) -> None:
        claims_of = self._claims("spec")
        definition = self._definition() if self._values["/kind"].lower() == "api" else None
        for name, claims in claims_of.items():
            if definition is not None and name in ("definition", "type"):
                self._set("spec", name, definition.get(name))
            elif name in _REFS:
                namespace = self._values["/metadata/namespace"]
                self._set("spec", name, union_of_refs(claims, kind=_REFS[name], namespace=namespace))
            else:
                self._set("spec", name, first(claims))

    def service(self) -> None:
        for name, claims in self._claims("service").items():
            self._set("service", name, _UNIONS.get(("service", name), first)(claims))

    def entity(self, stale: tuple[str, ...]) -> Entity:
        entity = {**self._sections[""], "metadata": self._sections["metadata"]}
        if self._sections["spec"]:
            entity["spec"] = self._sections["spec"]
        return Entity(
            entity=entity,
            service=self._sections["service"],
            provenance=self._provenance,
            values=self._values,
            stale=stale,
        )

    def _claims(self, section: str) -> dict[str, list[tuple[str, Any]]]:
        claims: dict[str, list[tuple[str, Any]]] = {}
        for connector, fields in self._fields(section):
            for name, value in fields.items():
                if name in claims:
                    claims[name].append((connector, value))
                else:
                    claims[name] = [(connector, value)]
        return claims

    def _fields(self, section: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
        for connector, body in self._bodies:
            fields = body["service"] if section == "service" else body["entity"].get(section)
            if isinstance(fields, dict):
                yield connector, fields

    def _locations(self, claims: Claims) -> dict[str, Outcome | None]:
        visible = []
        for connector, annotations in claims:
            if annotations is None:
                break
            if isinstance(annotations, dict):
                visible.append((connector, annotations))
        group = coupled(visible, LOCATIONS, LOCATIONS, lambda value: value is not None) or {}
        return {name: group.get(name) for name in LOCATIONS}

    def _definition(self) -> dict[str, Outcome] | None:
        """An API's definition and its type belong together; None while nobody has a definition."""
        return coupled(self._fields("spec"), ("definition", "type"), ("definition",), _has)

    def _set(self, section: str, name: str, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        self._sections[section][name] = outcome.value
        self._note(pointer(section, name) if section else pointer(name), outcome)

    def _set_keys(self, name: str, outcomes: Mapping[str, Outcome | None]) -> None:
        values = {}
        for key, outcome in outcomes.items():
            if outcome is not None:
                values[key] = outcome.value
                self._note(pointer("metadata", name, key), outcome)
        if values:
            self._sections["metadata"][name] = values

    def _note(self, at: str, outcome: Outcome) -> None:
        self._provenance[at] = outcome.winners
        self._values[at] = outcome.value


def _has(value: Any) -> bool:
    return value is not None and value != ""
