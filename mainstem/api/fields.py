"""`?fields=a,b.c`: an answer narrowed to what was asked for."""

from functools import lru_cache
from typing import Any

import orjson


def narrowed(item: dict[str, Any], fields: str | None) -> dict[str, Any]:
    """Return those parts of *item* that *fields* names, by dotted paths; all of it without *fields*. A path goes on in
    each element of a list.
    """
    if not fields:
        return item
    result: dict[str, Any] = {}
    for path in _paths(fields):
        if path in item:
            result[path] = item[path]
        else:
            _take(item, path, result)
    return result


@lru_cache(maxsize=256)
def _paths(fields: str) -> tuple[str, ...]:
    return tuple(path.strip() for path in fields.split(","))


def _take(item: dict[str, Any], path: str, into: dict[str, Any]) -> None:
    name = _first(item, path)
    # A path below a part that is there whole adds nothing.
    if name is None or (name in into and into[name] is item[name]):
        return
    if name == path:
        into[name] = item[name]
        return
    rest, value = path[len(name) + 1 :], _read(item[name])
    parts = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
    if isinstance(value, dict):
        _take(value, rest, into.setdefault(name, {}))
    elif parts or value == []:
        for part, inner in zip(parts, into.setdefault(name, [{} for _ in parts]), strict=True):
            _take(part, rest, inner)


def _first(item: dict[str, Any], path: str) -> str | None:
    """Return the name in *item* that *path* begins with; a name may hold dots itself."""
    for name in (path, path.partition(".")[0]):
        if name in item:
            return name
    return max((name for name in item if path.startswith(f"{name}.")), key=len, default=None)


def _read(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value)) if isinstance(value, orjson.Fragment) else value
