"""How one field is made of what several records claim about it.

A claim is (connector, value); claims come by precedence, strongest first. None hides what comes after it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from schemas.canonical import canonical_json
from schemas.refs import EntityRef
from streams.base import Outcome

Claims = Sequence[tuple[str, Any]]

_LONGEST_REF: Final = 3 * 63 + 2


def first_by_key(claims: Claims) -> tuple[dict[str, Any], dict[str, str | list[str]]]:
    """Per key of an object, the value of the strongest record that has the key, and that record's connector.

    An empty string is a value. None is one as well, for the caller to leave out: it hides what weaker records have.
    """
    values: dict[str, Any] = {}
    winners: dict[str, str | list[str]] = {}
    for connector, fields in reversed(_visible(claims)):
        if type(fields) is dict:
            values.update(fields)
            winners.update(dict.fromkeys(fields, connector))
    return values, winners


def coupled(
    claims: Iterable[tuple[str, Mapping[str, Any]]],
    members: Collection[str],
    leaders: Collection[str],
    has: Callable[[Any], bool],
) -> dict[str, Outcome] | None:
    """All *members* from the strongest record that has any of *leaders*; None when no record has.

    A null of a stronger record hides that member alone.
    """
    hidden: set[str] = set()
    for connector, fields in claims:
        if any(has(fields.get(leader)) for leader in leaders):
            return {
                member: Outcome(fields[member], connector)
                for member in members
                if member not in hidden and has(fields.get(member))
            }
        hidden.update(member for member in members if member in fields and fields[member] is None)
    return None


def union_of_texts(claims: Claims) -> Outcome | None:
    """Every element once, sorted."""
    return _sorted(*_collect(claims, _text_key))


def union_of_refs(claims: Claims, *, kind: str | None, namespace: str) -> Outcome | None:
    """Every referenced entity once, spelled as in the strongest record, sorted by canonical reference."""

    def key_of(element: Any) -> str | None:
        return canonical_ref(element, kind, namespace) if element and type(element) is str else _text_key(element)

    return _sorted(*_collect(claims, key_of))


def union_by(name: str, claims: Claims) -> Outcome | None:
    """Objects by their attribute *name*, each whole from the strongest record that has it, in order of precedence."""
    elements, winners = _collect(claims, _attribute(name))
    return Outcome(list(elements.values()), winners) if elements else None


def union_of_dependencies(claims: Claims) -> Outcome | None:
    """Objects by `target`, as :func:`union_by`; a dependency is critical when any record says so."""
    key_of = _attribute("target")
    elements, winners = _collect(claims, key_of)
    if not elements:
        return None
    critical: set[str] = set()
    for claim in _visible(claims):
        mine, _ = _collect([claim], key_of)
        critical.update(key for key, element in mine.items() if element.get("isCritical") is True)
    merged = [{**element, "isCritical": key in critical} for key, element in elements.items()]
    return Outcome(merged, winners)


def _visible(claims: Claims) -> Claims:
    """Return the claims above the first null."""
    for place, (_, value) in enumerate(claims):
        if value is None:
            return claims[:place]
    return claims


def _collect(claims: Claims, key_of: Callable[[Any], str | None]) -> tuple[dict[str, Any], list[str]]:
    """Return the first element of each key, in order, and the connectors that gave any; no key, no element."""
    elements: dict[str, Any] = {}
    winners = []
    for connector, value in _visible(claims):
        gave = False
        for element in value if type(value) is list else ():
            key = key_of(element)
            if key is not None:
                gave = True
                if key not in elements:
                    elements[key] = element
        if gave:
            winners.append(connector)
    return elements, winners


def _sorted(elements: dict[str, Any], winners: list[str]) -> Outcome | None:
    return Outcome([elements[key] for key in sorted(elements)], winners) if elements else None


def _text_key(element: Any) -> str | None:
    if type(element) is str:
        return element or None
    # No text holds U+0000: an object is never taken for the text that looks like it.
    return None if element is None else canonical_json(element).decode() + "\0"


def _attribute(name: str) -> Callable[[Any], str | None]:
    def key_of(element: Any) -> str | None:
        if type(element) is not dict:
            return None
        value = element.get(name)
        return value if type(value) is str and value else _text_key(value)

    return key_of


def canonical_ref(text: str, kind: str | None, namespace: str) -> str:
    """Return the entityRef that *text* means, or its own lower-cased text where it means none."""
    # A longer text is no reference: it would only fill the memory of what was asked before.
    return _parsed_ref(text, kind, namespace) if len(text) <= _LONGEST_REF else text.lower()


@lru_cache(maxsize=16_384)
def _parsed_ref(text: str, kind: str | None, namespace: str) -> str:
    try:
        return str(EntityRef.parse(text, kind=kind, namespace=namespace))
    except ValueError:
        return text.lower()
