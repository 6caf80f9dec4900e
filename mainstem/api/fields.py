"""`?fields=a,b.c`: an answer narrowed to what was asked for."""

from typing import Any


def narrowed(item: dict[str, Any], fields: str | None) -> dict[str, Any]:
    """Return those parts of *item* that *fields* names, by dotted paths; all of it without *fields*."""
    if not fields:
        return item
    result: dict[str, Any] = {}
    for path in fields.split(","):
        _take(item, path.strip().split("."), result)
    return result


def _take(item: Any, path: list[str], into: dict[str, Any]) -> None:
    name, *rest = path
    if not isinstance(item, dict) or name not in item:
        return
    if not rest:
        into[name] = item[name]
    elif isinstance(item[name], dict):
        inner = into.setdefault(name, {})
        # A path below a part that is there whole adds nothing.
        if inner is not item[name]:
            _take(item[name], rest, inner)
