"""Fold what several connectors say about one entity into the entity we publish."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from schemas.canonical import PointersBelow
from schemas.entities import Entity
from schemas.records import Record
from streams.base import Claim, Outcome
from streams.claims import Place, Voice
from streams.expiry import Band, band
from streams.policy import Policy
from streams.strategies import (
    Claims,
    coupled,
    first_by_key,
    union_by,
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
_REFS: Final = {"dependsOn": None, "dependencyOf": None, "providesApis": "api", "consumesApis": "api"}
DEFINITION: Final = ("definition", "type")
"""Fields of an API's spec that are of one record."""
_METADATA: Final = frozenset({*_IDENTITY, "annotations", "labels", "tags", "links"})
_SPEC: Final = frozenset(_REFS)
_API_SPEC: Final = _SPEC | frozenset(DEFINITION)
_SERVICE: Final = frozenset({"dependencies", "runbooks"})

_POINTERS: Final = {
    "": PointersBelow(),
    "metadata": PointersBelow("metadata"),
    "spec": PointersBelow("spec"),
    "service": PointersBelow("service"),
    "annotations": PointersBelow("metadata", "annotations"),
    "labels": PointersBelow("metadata", "labels"),
}
"""By section, or by map of metadata."""


class Live(NamedTuple):
    """A record that counts at the moment of the merge."""

    record: Record
    band: Band


def merge(records: Iterable[Record], policy: Policy, *, now: float) -> Entity | None:
    """Return the entity as it stands at *now* (epoch ms), or None when nobody vouches for it.

    Each field comes from the strongest live record that has it. The result does not depend on the order in
    which the records came. There is at most one record of each connector. Raises MergeError when a strategy that
    a rule names breaks its contract.
    """
    live = live_records(records, policy, now)
    if not any(policy.of(record.connector).asserts_existence for record, _ in live):
        return None
    fold = _ruled_fold(live, policy) if policy.rules else _Fold(_bodies(live))
    fold.identity()
    fold.metadata()
    fold.spec()
    fold.service()
    stale = sorted(record.connector for record, life in live if life is Band.STALE)
    return fold.entity(tuple(stale))


def values_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value at each pointer of a merged entity, read from its content, `{"entity", "service"}`, alone."""
    entity = body["entity"]
    values = {_POINTERS[""][name]: value for name, value in entity.items() if name not in ("metadata", "spec")}
    sections = {"metadata": entity["metadata"], "spec": entity.get("spec", {}), "service": body["service"]}
    for section, fields in sections.items():
        for name, value in fields.items():
            if section == "metadata" and name in ("annotations", "labels"):
                values.update({_POINTERS[name][key]: each for key, each in value.items()})
            else:
                values[_POINTERS[section][name]] = value
    return values


def live_records(records: Iterable[Record], policy: Policy, now: float) -> list[Live]:
    """Return the live records, strongest first."""
    live = [Live(record, band(record, policy, now)) for record in records]
    live = [entry for entry in live if entry.band is not Band.DEAD]
    live.sort(key=lambda entry: (entry.band, -policy.priority(entry.record), entry.record.connector))
    return live


def voices(live: Iterable[Live], policy: Policy) -> list[Voice]:
    """Return the live records as those who claim something."""
    return [
        Voice(
            Claim(record.connector, None, record.observed_at, life is Band.STALE, policy.priority(record)), record.body
        )
        for record, life in live
    ]


def _ruled_fold(live: Sequence[Live], policy: Policy) -> "_Fold":
    """Return a fold of what no rule is about, with the outcomes of the rules in it."""
    plan = policy.plan(live[0].record.body["entity"]["kind"].lower())
    if not plan:
        return _Fold(_bodies(live))
    bodies, cases = plan.split(voices(live, policy))
    fold = _Fold(bodies, is_coupled=not any(plan.rule_at(("spec", name)) for name in DEFINITION))
    for case in cases:
        for place, outcome in case.outcomes().items():
            fold.put_at(place, outcome)
    return fold


def _bodies(live: Iterable[Live]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(record.connector, record.body) for record, _ in live]


class _Fold:
    """One merge under way: the bodies of the live records, strongest first, and what has come of them.

    *is_coupled*: whether an API's definition and type are of one record.
    """

    def __init__(self, bodies: Sequence[tuple[str, Mapping[str, Any]]], *, is_coupled: bool = True) -> None:
        self._bodies = bodies
        self._is_coupled = is_coupled
        self._sections: dict[str, dict[str, Any]] = {"": {}, "metadata": {}, "spec": {}, "service": {}}
        self._provenance: dict[str, str | list[str]] = {}
        self._values: dict[str, Any] = {}

    def identity(self) -> None:
        connector, body = self._bodies[0]
        entity = body["entity"]
        self._put("", "apiVersion", entity["apiVersion"], connector)
        self._put("", "kind", entity["kind"], connector)
        for name in _IDENTITY:
            self._put("metadata", name, entity["metadata"][name], connector)

    def metadata(self) -> None:
        claims = self._strongest("metadata", _METADATA)
        if "annotations" in claims:
            values, winners = first_by_key(claims["annotations"])
            if not values.keys().isdisjoint(LOCATIONS):
                for name, outcome in _locations(claims["annotations"]).items():
                    values[name], winners[name] = outcome or (None, "")
            self._put_keys("annotations", values, winners)
        if "labels" in claims:
            self._put_keys("labels", *first_by_key(claims["labels"]))
        if "tags" in claims:
            self._put_outcome("metadata", "tags", union_of_texts(claims["tags"]))
        if "links" in claims:
            self._put_outcome("metadata", "links", union_by("url", claims["links"]))

    def spec(self) -> None:
        is_api = self._is_coupled and self._values["/kind"].lower() == "api"
        claims = self._strongest("spec", _API_SPEC if is_api else _SPEC)
        namespace = self._values["/metadata/namespace"]
        for name, kind in _REFS.items():
            if name in claims:
                self._put_outcome("spec", name, union_of_refs(claims[name], kind=kind, namespace=namespace))
        if is_api:
            # A type without its definition would be changed by any weaker record that brings both.
            pair = coupled(self._fields("spec"), DEFINITION, DEFINITION[:1], _has) or {}
            for name, outcome in pair.items():
                self._put_outcome("spec", name, outcome)

    def service(self) -> None:
        claims = self._strongest("service", _SERVICE)
        if "dependencies" in claims:
            self._put_outcome("service", "dependencies", union_of_dependencies(claims["dependencies"]))
        if "runbooks" in claims:
            self._put_outcome("service", "runbooks", union_by("url", claims["runbooks"]))

    def put_at(self, place: Place, outcome: Outcome) -> None:
        """Take over what a rule made of a field or map key."""
        if len(place) == len(("metadata", "name")):
            self._put_outcome(place[0], place[1], outcome)
        else:
            self._put_keys(place[1], {place[2]: outcome.value}, {place[2]: outcome.winners})

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

    def _strongest(self, section: str, others: frozenset[str]) -> dict[str, list[tuple[str, Any]]]:
        """Give each field the value of the strongest record that has one; return the claims to *others*.

        An empty string is no value; a null hides what weaker records say.
        """
        said = list(self._fields(section))
        values, winners = first_by_key([(connector, _without_empty(fields)) for connector, fields in said])
        claims = {}
        for name in others & values.keys():
            del values[name]
            claims[name] = [(connector, fields[name]) for connector, fields in said if name in fields]
        self._put_all(self._sections[section], _POINTERS[section], values, winners)
        return claims

    def _fields(self, section: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
        for connector, body in self._bodies:
            fields = body["service"] if section == "service" else body["entity"].get(section)
            if type(fields) is dict:
                yield connector, fields

    def _put(self, section: str, name: str, value: Any, winners: str | list[str]) -> None:
        at = _POINTERS[section][name]
        self._sections[section][name] = self._values[at] = value
        self._provenance[at] = winners

    def _put_outcome(self, section: str, name: str, outcome: Outcome | None) -> None:
        if outcome is not None:
            self._put(section, name, *outcome)

    def _put_keys(self, name: str, values: Mapping[str, Any], winners: Mapping[str, str | list[str]]) -> None:
        keys = self._sections["metadata"].get(name, {})
        self._put_all(keys, _POINTERS[name], values, winners)
        if keys:
            self._sections["metadata"][name] = keys

    def _put_all(
        self,
        holder: dict[str, Any],
        pointers: PointersBelow,
        values: Mapping[str, Any],
        winners: Mapping[str, str | list[str]],
    ) -> None:
        for name, value in values.items():
            if value is not None:
                at = pointers[name]
                holder[name] = self._values[at] = value
                self._provenance[at] = winners[name]


def _locations(claims: Claims) -> dict[str, Outcome | None]:
    visible = []
    for connector, annotations in claims:
        if annotations is None:
            break
        if type(annotations) is dict and not annotations.keys().isdisjoint(LOCATIONS):
            visible.append((connector, annotations))
    group = coupled(visible, LOCATIONS, LOCATIONS, lambda value: value is not None) or {}
    return {name: group.get(name) for name in LOCATIONS}


def _without_empty(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in fields.items() if value != ""} if "" in fields.values() else fields


def _has(value: Any) -> bool:
    return value is not None and value != ""
