"""The incident facts of an entity (`service`) whose meaning is known, and what is nearly called like one of them.

Any other key is accepted and kept: what is nearly a known one is told to whoever wrote it, and stops nothing.
"""

import difflib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

FACTS: Final = (
    "tier",
    "ownerTeam",
    "lifecycle",
    "description",
    "onCall",
    "scheduleId",
    "slackChannel",
    "email",
    "dependencies",
    "runbooks",
)
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "onCall": ("userId", "name", "until"),
    "dependencies": ("target", "type", "isCritical"),
    "runbooks": ("title", "url", "type"),
}
"""The keys of those facts that are objects, or lists of them."""

_SLIP: Final = 0.8
"""How alike two keys are (from 0 to 1), whatever their case, when one is taken for a slip of the other."""


def slips(service: object) -> Iterator[tuple[str, str]]:
    """Yield what is nearly a known key (`oncall`, `dependencies.is_critical`), each once, and which one: `onCall`."""
    if not isinstance(service, dict):
        return
    yield from _among(service, FACTS)
    for fact, known in PARTS.items():
        value = service.get(fact)
        parts = [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, dict)]
        said = {slip: None for part in parts for slip in _among(part, known)}
        yield from ((f"{fact}.{key}", meant) for key, meant in said)


@lru_cache(maxsize=4_096)
def meant_by(key: str, known: tuple[str, ...] = FACTS) -> str | None:
    """Return the one of *known* that *key* nearly is; None where it is one, or none is near."""
    if key in known:
        return None
    folded = {_folded(each): each for each in known}
    said = _folded(key)
    near = difflib.get_close_matches(said, folded, n=1, cutoff=_SLIP)
    # Of a short key two letters that changed places are too much for that measure: `teir`.
    near = near or [each for each in folded if sorted(each) == sorted(said)]
    return folded[near[0]] if near else None


def _among(said: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Where the known key is there as well, the other one is meant as it is."""
    for key in said:
        meant = meant_by(key, known)
        if meant is not None and meant not in said:
            yield key, meant


def _folded(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()
