"""What became of an entity from one version to the next, as its history tells it. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from schemas.canonical import canonical_json
from sinks.postgres.rows import Row

ALL: Final = ""
"""The pointer of an entity as a whole."""
_ABSENT: Final = object()


class Content(NamedTuple):
    """The JSON texts of an entity that is there."""

    content_hash: str
    entity: str
    service: str
    provenance: str

    def whole(self) -> str:
        return f'{{"":{{"entity":{self.entity},"service":{self.service}}}}}'


@dataclass(frozen=True, slots=True)
class Held:
    """What the tables hold of an entity. *content* is None where it vanished."""

    version: int
    content: Content | None = None


def changes(arrivals: Iterable[Row], held: Held | None) -> Iterator[Row]:
    """Yield a row for each of *arrivals*, versions of one entity in their order, that changes what was there.

    A version that is not newer tells nothing, nor does one of the same content. Where nothing is held, the arrival
    is believed: what was there before an update is not known then.
    """
    for row in arrivals:
        if held is not None and row["version"] <= held.version:
            continue
        if "deleted_at" in row:
            if held is not None and held.content is not None:
                yield _told(row, "deleted", [], (held.content.whole(), None), _everybody(held.content.provenance))
            held = Held(row["version"])
            continue
        content = Content(row["content_hash"], row["entity"], row["service"], row["provenance"])
        if held is None and row["change"] == "updated" and row["changed"] != [ALL]:
            yield _first_seen(row, content)
        elif held is None or held.content is None:
            yield _told(row, "created", [ALL], (None, content.whole()), _everybody(content.provenance))
        elif held.content.content_hash != content.content_hash:
            yield _updated(row, held.content, content)
        held = Held(row["version"], content)


def _updated(row: Row, before: Content, after: Content) -> Row:
    old, new = _Values(before), _Values(after)
    changed = [at for at in sorted(old.provenance.keys() | new.provenance.keys()) if _differs(at, old, new, row)]
    changed = changed or row["changed"]
    if changed == [ALL]:
        connectors = sorted({*_everybody(before.provenance), *_everybody(after.provenance)})
        return _told(row, "updated", changed, (before.whole(), after.whole()), connectors)
    return _told(row, "updated", changed, (old.at(changed), new.at(changed)), _connectors(changed, old, new))


def _first_seen(row: Row, after: Content) -> Row:
    new = _Values(after)
    return _told(row, "updated", row["changed"], (None, new.at(row["changed"])), _connectors(row["changed"], new, new))


def _told(
    row: Row, change: str, changed: list[str], values: tuple[str | None, str | None], connectors: list[str]
) -> Row:
    return {
        "tenant_id": row["tenant"],
        "entity_ref": row["entity_ref"],
        "version": row["version"],
        "at": row["deleted_at"] if change == "deleted" else row["merged_at"],
        "change": change,
        "changed": changed,
        "before": values[0],
        "after": values[1],
        "connectors": connectors,
    }


class _Values:
    """The values of an entity by JSON pointer, and who gave them."""

    def __init__(self, content: Content) -> None:
        self._body = {"entity": _object(content.entity), "service": _object(content.service)}
        self.provenance = _winners(content.provenance)

    def value(self, pointer: str) -> Any:
        found: Any = self._body
        for token in _tokens(pointer):
            if type(found) is not dict or token not in found:
                return _ABSENT
            found = found[token]
        return found

    def at(self, pointers: Iterable[str]) -> str:
        found = {pointer: self.value(pointer) for pointer in pointers}
        return canonical_json({at: value for at, value in found.items() if value is not _ABSENT}).decode()

    def winners(self, pointer: str) -> list[str]:
        return _names(self.provenance.get(pointer, ()))


def _differs(pointer: str, old: _Values, new: _Values, row: Row) -> bool:
    before, after = old.value(pointer), new.value(pointer)
    if before is _ABSENT or after is _ABSENT:
        return before is not after
    if type(before) is str and type(after) is str:
        return before != after
    if canonical_json(before) == canonical_json(after):
        return False
    # Postgres writes some numbers in another way than they came; Python takes 1 and true for equal, whoever merges not.
    return before != after or pointer in row["changed"]


def _connectors(changed: Iterable[str], old: _Values, new: _Values) -> list[str]:
    """Return who gives the values now; of what is gone, and of unions, also who gave it before."""
    names: set[str] = set()
    for pointer in changed:
        names.update(new.winners(pointer))
        if new.value(pointer) is _ABSENT or type(new.provenance.get(pointer)) is list:
            names.update(old.winners(pointer))
    return sorted(names)


@lru_cache(maxsize=1_024)
def _winners(provenance: str) -> Mapping[str, Any]:
    """Return a provenance, which many entities have in common."""
    return _object(provenance)


@lru_cache(maxsize=1_024)
def _everybody(provenance: str) -> list[str]:
    return sorted({name for winners in _winners(provenance).values() for name in _names(winners)})


def _names(winners: Any) -> list[str]:
    return [winners] if isinstance(winners, str) else [each for each in winners if isinstance(each, str)]


@lru_cache(maxsize=4_096)
def _tokens(pointer: str) -> tuple[str, ...]:
    """Return the keys that lead to the value: `/entity` is left out of pointers."""
    tokens = tuple(each.replace("~1", "/").replace("~0", "~") for each in pointer.split("/")[1:])
    return tokens if tokens[:1] == ("service",) else ("entity", *tokens)


def _object(text: str) -> Mapping[str, Any]:
    """Return the object of a JSON text; what is none is for Postgres to refuse."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if type(found) is dict else {}
