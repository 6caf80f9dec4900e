"""One short text for a value, the same whether it comes from a topic or from Postgres."""

import hashlib
import re
from datetime import datetime
from typing import Any, Final

from schemas.canonical import canonical_json

_FRACTION: Final = re.compile(rb"[0-9](?:\.[0-9]|[eE])")
_WHOLE: Final = 2.0**64


def digest(value: Any) -> str:
    """Return a hash of JSON. *value* may be altered: numbers become what `jsonb` makes of them."""
    text = canonical_json(value)
    if _FRACTION.search(text):
        text = canonical_json(_as_jsonb(value))
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def seconds(moment: str | None) -> float | None:
    """Return the epoch seconds of a time as the sink writes it, or as Postgres extracts it."""
    if moment is None:
        return None
    try:
        return float(moment)  # infinity has its own words on both sides
    except ValueError:
        return datetime.fromisoformat(moment).timestamp()


def _as_jsonb(value: Any) -> Any:
    """Postgres writes 1e16 as the whole number that it is, and knows no negative zero."""
    root = [value]
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        for key, item in list(node.items() if type(node) is dict else enumerate(node)):
            if type(item) is float and item.is_integer() and abs(item) < _WHOLE:
                node[key] = int(item)
            elif type(item) is dict or type(item) is list:
                waiting.append(item)
    return root[0]
