"""Patterns of file names: `*` and `?` within a directory, `**` over any number of them."""

import re
from typing import Final

_PART: Final = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_MEANING: Final = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


def as_regex(pattern: str) -> str:
    """Return the regular expression that a whole name must match."""
    return "(?s:" + "".join(_MEANING.get(part) or re.escape(part) for part in _PART.findall(pattern)) + ")"
