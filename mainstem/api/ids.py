"""Thousands of ids on their way to the database and back, as it holds them: an object for each would cost too much."""

import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.adapt import Buffer, Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_LENGTH: Final = struct.pack(">i", 16)
_HEAD: Final = struct.Struct(">iiIii")
"""Of an array: dimensions, whether a null is in it, the type of what is in it, their number, the first subscript."""
_ID: Final = struct.Struct(f"{len(_LENGTH)}x16s")


@dataclass(frozen=True, slots=True)
class Ids:
    """A parameter of the type uuid[]: ids of 16 bytes, in any order."""

    keys: Collection[bytes]


class _IdsDumper(Dumper):
    format = Format.BINARY
    oid = types["uuid"].array_oid

    def dump(self, obj: Ids) -> Buffer:
        if not obj.keys:
            return _HEAD.pack(0, 0, types["uuid"].oid, 0, 0)[:12]
        return b"".join((_HEAD.pack(1, 0, types["uuid"].oid, len(obj.keys), 1), _LENGTH, _LENGTH.join(obj.keys)))


def take_ids(connection: AsyncConnection[Any]) -> None:
    """Let *connection*, a new one of a pool, take :class:`Ids` for parameters."""
    connection.adapters.register_dumper(Ids, _IdsDumper)


def read_ids(array: bytes | None) -> list[bytes]:
    """Return the ids in *array*, of `array_send`; none where it is null."""
    return [key for (key,) in _ID.iter_unpack(array[_HEAD.size :])] if array else []
