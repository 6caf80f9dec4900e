"""What the live records say, field by field: the fields and map keys of the strategy table, which provenance names."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from streams.base import Claim

Place = tuple[str, ...]
"""A field or map key: its pointer's tokens, such as ("spec", "owner")."""

MAPS: Final = ("annotations", "labels")
"""Fields of metadata that are merged key by key."""
IDENTITY: Final = frozenset({("apiVersion",), ("kind",), ("metadata", "namespace"), ("metadata", "name")})
UNIONS: Final = frozenset(
    {
        ("metadata", "tags"),
        ("metadata", "links"),
        ("spec", "dependsOn"),
        ("spec", "dependencyOf"),
        ("spec", "providesApis"),
        ("spec", "consumesApis"),
        ("service", "dependencies"),
        ("service", "runbooks"),
    }
)
"""Fields whose elements are told apart by what they are about, unless a rule has it otherwise."""
SECTIONS: Final = ("metadata", "spec", "service")


class Voice(NamedTuple):
    """A live record: its body, and a claim of its that has no value yet."""

    claim: Claim
    body: Mapping[str, Any]

    def says(self, value: Any) -> Claim:
        return self.claim._replace(value=value)


def places(body: Mapping[str, Any]) -> Iterator[tuple[Place, Any]]:
    """Yield what one record has: every field and map key. A map that is null is yielded itself."""
    entity = body["entity"]
    yield ("apiVersion",), entity["apiVersion"]
    yield ("kind",), entity["kind"]
    for section in SECTIONS:
        for name, value in _fields(body, section).items():
            if section == "metadata" and name in MAPS:
                if value is None:
                    yield (section, name), None
                for key, element in value.items() if type(value) is dict else ():
                    yield (section, name, key), element
            elif value != "":
                yield (section, name), value


def without(body: Mapping[str, Any], taken: Iterable[Place]) -> dict[str, Any]:
    """Return *body* less the fields and map keys at *taken*; *body* itself stays as it is."""
    entity, service = dict(body["entity"]), dict(body["service"])
    sections = {"service": service}
    copied: set[Place] = set()
    for place in taken:
        section, name, *key = place
        if section not in sections:
            sections[section] = entity[section] = dict(entity[section])
        if not key:
            sections[section].pop(name, None)
            continue
        if (section, name) not in copied:
            copied.add((section, name))
            sections[section][name] = dict(sections[section][name])
        sections[section][name].pop(key[0], None)
    return {"entity": entity, "service": service}


def gathered(said: Iterable[tuple[Voice, Mapping[Place, Any]]]) -> dict[Place, list[Claim]]:
    """Return the claims to each place, in the order of the voices. A null map says null of every key of it."""
    rows = list(said)
    found = dict.fromkeys(place for _, told in rows for place in told if not is_map(place))
    return {
        place: [
            voice.says(told.get(place))
            for voice, told in rows
            if place in told or (len(place) > len(("section", "name")) and place[:2] in told)
        ]
        for place in found
    }


def is_map(place: Place) -> bool:
    return place[0] == "metadata" and len(place) == len(("metadata", "name")) and place[1] in MAPS


def _fields(body: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    fields = body["service"] if section == "service" else body["entity"].get(section)
    return fields if type(fields) is dict else {}
