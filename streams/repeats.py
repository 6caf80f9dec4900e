"""What was said before: a change that comes again, byte for byte, is not read again."""

import hashlib
from collections import OrderedDict
from typing import Final

from schemas.changes import Change, Control, Origin, Timeless, read_change
from schemas.codec import decode_change

REMEMBERED_BYTES: Final = 32 * 1024 * 1024
_ENTRY_BYTES: Final = 768
"""What an entry takes beside the content."""


class Repeats:
    """Reads changes, and remembers the latest of those that a resync brings again as they are.

    Bounded by bytes: the oldest is forgotten first.
    """

    def __init__(self, limit: int = REMEMBERED_BYTES) -> None:
        self._room = limit
        self._known: OrderedDict[tuple[bytes, str, bool], Timeless] = OrderedDict()

    def read(self, value: bytes | None, origin: Origin) -> Change | Control:
        """Return what *value* says. Raises DecodeError or ValidationError, the same for the same bytes."""
        digest = hashlib.blake2b(value or b"", digest_size=16).digest()
        # All of the origin that decides whether a change is valid.
        asked = (digest, origin.tenant, origin.is_complete)
        known = self._known.get(asked)
        if known is not None:
            return known.at(origin)
        document = decode_change(value)
        change = read_change(document, origin)
        timeless = Timeless.of(document, change) if isinstance(change, Change) else None
        if timeless is not None:
            self._remember(asked, timeless)
        return change

    def _remember(self, asked: tuple[bytes, str, bool], timeless: Timeless) -> None:
        self._known[asked] = timeless
        self._room -= _size(timeless)
        while self._room < 0:
            _, oldest = self._known.popitem(last=False)
            self._room += _size(oldest)


def _size(timeless: Timeless) -> int:
    return _ENTRY_BYTES + len(timeless.content or b"")
