"""The pieces of which a kind's rules are made: text, list, object, map.

A rule gets a value and whether the entity must be whole, and returns the faults, with pointers that begin at
the value. Whether a field may be missing, null or empty is the business of the object that holds it, never of
the field's own rule.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from schemas.canonical import pointer

Faults = tuple[tuple[str, str], ...]
"""(JSON pointer, sentence without payload text) pairs."""
Rule = Callable[[Any, bool], Faults]

NONE: Final[Faults] = ()
NUMBERS: Final = (bool, int, float)
"""Types of which no value is empty."""


def fault(sentence: str) -> Faults:
    return (("", sentence),)


def below(token: str, faults: Faults) -> Faults:
    """Return *faults* of the value under *token* as faults of what holds it."""
    return tuple((pointer(token) + at, sentence) for at, sentence in faults)


def is_placeholder(value: object) -> bool:
    """Return whether *value* stands for text that Backstage reads elsewhere: `{"$text": …}` and its like."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith("$")


def is_include(value: object) -> bool:
    """Return whether *value* stands for an object or a list that Backstage reads elsewhere."""
    return isinstance(value, dict) and len(value) == 1 and ("$json" in value or "$yaml" in value)


def text(sentence: str = "must not be empty", *, accepts: Callable[[str], object] = bool) -> Rule:
    """A text, or a placeholder of one; *sentence* is the rule that *accepts* checks."""
    refused, no_text = fault(sentence), fault("must be a text")

    def check(value: Any, complete: bool) -> Faults:  # noqa: ARG001, FBT001 - every rule has this shape
        if isinstance(value, str):
            return NONE if accepts(value) else refused
        return NONE if is_placeholder(value) else no_text

    return check


def list_of(element: Rule, *, includes: bool = True) -> Rule:
    """A list; *includes* says whether `$json` and `$yaml` may stand for it."""

    def check(value: Any, complete: bool) -> Faults:  # noqa: FBT001
        if not isinstance(value, list):
            return NONE if includes and is_include(value) else fault("must be a list")
        found: list[tuple[str, str]] = []
        for index, item in enumerate(value):
            if (item is not None or complete) and (faults := element(item, complete)):
                found += below(str(index), faults)
        return tuple(found)

    return check


def fields(
    rules: Mapping[str, Rule], *, required: tuple[str, ...] = (), others: Rule | None = None, includes: bool = True
) -> Rule:
    """An object: *rules* for the fields it may have, *others* for the rest, which pass where that is None.

    Where an entity need not be whole, fields that are null or empty pass and none is required.
    """

    def check(value: Any, complete: bool) -> Faults:  # noqa: FBT001
        if not isinstance(value, dict):
            return fault("must be an object")
        if includes and is_include(value):
            return NONE
        found: list[tuple[str, str]] = []
        for name, field in value.items():
            rule = rules.get(name, others)
            if (
                rule is not None
                and (field or complete or isinstance(field, NUMBERS))
                and (faults := rule(field, complete))
            ):
                found += below(name, faults)
        if complete:
            found += [(pointer(name), "is required") for name in required if name not in value]
        return tuple(found)

    return check


def one_or_many(element: Rule) -> Rule:
    """An object by *element*'s rule, or a list of them."""
    many = list_of(element)

    def check(value: Any, complete: bool) -> Faults:  # noqa: FBT001
        return (many if isinstance(value, list) else element)(value, complete)

    return check


def map_of(accepts_key: Callable[[str], object], entry_rule: Rule) -> Rule:
    """An object whose keys are names of somebody's own."""
    refused = fault("the key must be a name, or a DNS name, a '/' and a name")

    def check(value: Any, complete: bool) -> Faults:  # noqa: FBT001
        if not isinstance(value, dict):
            return fault("must be an object")
        found: list[tuple[str, str]] = []
        for key, entry in value.items():
            if not accepts_key(key):
                found += below(key, refused)
            if (entry is not None or complete) and (faults := entry_rule(entry, complete)):
                found += below(key, faults)
        return tuple(found)

    return check
