"""What was published lately: enough to tell which values of an entity are others now, without merging it once more."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from schemas.canonical import canonical_json

Marks = Mapping[str, int]
"""By JSON pointer, a number that tells the value there from another; of use in this process alone."""

REMEMBERED_BYTES: Final = 24 * 1024 * 1024
_ENTRY_BYTES: Final = 512
"""What an entry takes beside its marks."""
_MARK_BYTES: Final = 64
"""What a mark takes beside its pointer."""


def marks_of(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the marks of *values*, the value at each pointer.

    Python holds 1, 1.0 and true for equal, and a reader of the JSON does not: only texts are told apart by themselves.
    """
    return {
        # Inverted: the text that looks like an object is not marked as the object.
        at: hash(value) if type(value) is str else ~hash(canonical_json(value))
        for at, value in values.items()
    }


def changed_pointers(before: Marks, after: Marks) -> list[str]:
    """Return the pointers whose value was added, removed or altered, sorted."""
    altered = [at for at, mark in after.items() if before.get(at) != mark]
    return sorted([*altered, *(before.keys() - after.keys())])


class Published:
    """The marks of what was published lately, by entity key. Bounded by bytes: the oldest is forgotten first."""

    def __init__(self, limit: int = REMEMBERED_BYTES) -> None:
        self._room = limit
        self._known: OrderedDict[bytes, tuple[str, Marks]] = OrderedDict()

    def marks(self, key: bytes, content_hash: str) -> Marks | None:
        """Return the marks of what was published under *content_hash*; None where they are not remembered."""
        known = self._known.get(key)
        return known[1] if known is not None and known[0] == content_hash else None

    def remember(self, key: bytes, content_hash: str, marks: Marks) -> None:
        before = self._known.pop(key, None)
        if before is not None:
            self._room += _size(before[1])
        self._known[key] = content_hash, marks
        self._room -= _size(marks)
        while self._room < 0:
            _, (_, oldest) = self._known.popitem(last=False)
            self._room += _size(oldest)


def _size(marks: Marks) -> int:
    return _ENTRY_BYTES + _MARK_BYTES * len(marks) + sum(map(len, marks))
