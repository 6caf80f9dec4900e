"""Which schema wrote an Avro value, and under which id this process writes.

`schemas/avro/ids.json` names every schema file that ever had an id. Where a registry is configured, its ids come
beside them:

- what Mainstem writes (`MergedEntity`, `Records`) carries the registry's id, else that of the file;
- in topics that Mainstem alone writes, an id that ids.json gives to a version of that record means that file; another
  one is looked up in the registry; one that nobody knows (any more), or that cannot be asked for, is read with the
  files of that record, the newest first, so that a registry can be away, or be switched off again;
- in changes topics an id is the registry's when that schema is a record named `Change`, else that of the file.
"""

import struct
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import fastavro
import orjson

from schemas.errors import ConfigError, DecodeError, Retriable
from schemas.topics import Topics

if TYPE_CHECKING:
    from schemas.registry import Registry  # its client costs half a second, spent only where one is configured

AVRO_DIRECTORY: Final = Path(__file__).parent / "avro"
CHANGE: Final = "Change.avsc"
ENTITY: Final = "MergedEntity.avsc"
RECORDS: Final = "Records.avsc"
WIRE: Final = struct.Struct(">bI")

_registry: "Registry | None" = None
_given: dict[str, int] = {}
"""The registry's ids of what we write, by file."""
_known: dict[tuple[str, int], tuple[Any, ...]] = {}
"""The schemas of an id, by record."""


def use(registry: "Registry | None") -> None:
    """Let *registry* know ids beside ids.json, in this process; None: ids.json alone. For the edge."""
    global _registry  # noqa: PLW0603 - a process has one registry, as it has one set of files
    _registry = registry
    _given.clear()
    _known.clear()
    header.cache_clear()


def register(topics: Topics) -> None:
    """Register what this process writes, every version in the order of its file id, and write the registry's ids.

    Called once, before the first write; without a registry it does nothing. Raises UnavailableError, ConfigError.
    """
    if _registry is None:
        return
    subjects = {ENTITY: topics.entities, RECORDS: topics.changelog}
    for file in [file for _, file in sorted(file_ids().items()) if _record_of(file) in subjects]:
        topic, own = subjects[_record_of(file)], _own_ids(_record_of(file))
        given = _registry.register(f"{topic}-value", (AVRO_DIRECTORY / file).read_text())
        if own.get(given, file) != file:
            raise ConfigError(
                f"the schema registry gave {file} the id {given}, under which {topic} holds an older version:"
                " register any other schema first, so that ids move on"
            )
        _given[file] = given
    header.cache_clear()


def lacking(values: Iterable[bytes | None]) -> set[int]:
    """Return the ids for which the registry must be asked before these values of a changes topic can be read."""
    if _registry is None:
        return set()
    found = {WIRE.unpack_from(value)[1] for value in values if value and len(value) >= WIRE.size and value[0] == 0}
    return {wire_id for wire_id in found if _registry.lacks(wire_id)}


def fetch(wire_id: int) -> None:
    """Ask the registry for that id, and keep its answer. Raises Retriable."""
    if _registry is not None:
        _registry.ask(wire_id)


@cache
def header(file: str) -> bytes:
    """Return the five bytes in front of a value of *file*."""
    newest = max(wire_id for wire_id, name in file_ids().items() if name == file)
    return WIRE.pack(0, _given.get(file, newest))


def candidates(file: str, wire_id: int) -> Sequence[Any]:
    """Return the schemas that may have written a value of that record under *wire_id*: the first that fits did.

    Raises DecodeError when there is none; of a change, Retriable while the registry cannot be asked.
    """
    found = _known.get((file, wire_id))
    if found is None:
        named = [schema(own) for known, own in (_own_ids(file) | _given_ids(file)).items() if known == wire_id]
        try:
            registered = [] if named and file != CHANGE else _registered(file, wire_id)
        except Retriable:
            if file == CHANGE:
                raise
            registered = []  # a merge reads what it holds: it must not fail for want of a registry
        found = tuple(registered + named)
        if registered or (named and _registry is None) or (named and file != CHANGE):
            _known[file, wire_id] = found  # what an id stands for never changes; that nobody knows it does
    if found:
        return found
    if file == CHANGE:
        raise DecodeError(f"schema id {wire_id} is not known; {_who_knows()}")
    # Nobody but us writes there: what has an id of nobody's was written under one of a registry that is gone.
    return [schema(own) for _, own in sorted(_own_ids(file).items(), reverse=True)]


@cache
def file_ids() -> dict[int, str]:
    return {int(wire_id): file for wire_id, file in orjson.loads((AVRO_DIRECTORY / "ids.json").read_bytes()).items()}


@cache
def schema(file: str) -> Any:
    return fastavro.parse_schema(orjson.loads((AVRO_DIRECTORY / file).read_bytes()))


@cache
def _own_ids(record: str) -> dict[int, str]:
    """Return the ids of every version of a record, and their files."""
    return {wire_id: file for wire_id, file in sorted(file_ids().items()) if _record_of(file) == record}


def _given_ids(record: str) -> dict[int, str]:
    """Return the ids that the registry gave, when this process registered them, to the versions of a record."""
    return {wire_id: file for file, wire_id in _given.items() if _record_of(file) == record}


def _registered(file: str, wire_id: int) -> list[Any]:
    found = None if _registry is None else _registry.schema(wire_id)
    name = str(found.get("name", "")).rpartition(".")[2] if isinstance(found, dict) else ""
    if f"{name}.avsc" != file:
        return []
    # One of our own needs no resolution: the same object says so.
    return [next((schema(own) for own in _own_ids(file).values() if schema(own) == found), found)]


def _record_of(file: str) -> str:
    """Return the file of the newest version: older ones are `history/<name>.<id>.avsc`."""
    return f"{Path(file).name.partition('.')[0]}.avsc"


def _who_knows() -> str:
    if _registry is None:
        return "schemas/avro/ids.json lists those that are, and no schema registry is configured"
    return "the schema registry has no record named Change under it, and schemas/avro/ids.json nothing"
