"""What a worker was merging when its process ended, kept where the next process finds it.

A record on which the process ended again and again is set aside, however it ended: an exception that nobody expected,
a fault in native code, the kernel out of memory.
"""

import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import orjson
import structlog

log = structlog.get_logger(__name__)

QUARANTINED_AFTER: Final = 5
"""Crashes on one offset, or on one key."""

SPANS: Final = 12
"""How many can be watched at once: their topics' names, of at most 249 letters, have room in the file."""

Span = tuple[str, int, int, int]
"""Topic, partition, first and last offset."""

_SIZE: Final = 4096
_HEAD: Final = struct.Struct(">HIQQ")  # length of the topic's name, partition, first and last offset
_KEY_HEAD: Final = struct.Struct(">HIq")  # length of the key, partition, version of its state


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """Records of one partition, one of which may have ended the process."""

    topic: str
    partition: int
    first: int
    last: int
    crashes: int = 1

    def holds(self, offset: int) -> bool:
        return self.first <= offset <= self.last

    @property
    def is_guilty(self) -> bool:
        return self.first == self.last and self.crashes >= QUARANTINED_AFTER


class Crashes:
    """One suspect per partition. Lives in the files of *directory*."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "suspects.json"
        self._slot = _slot(directory / "merging")
        self._is_blamed = False
        self._suspects = self._remembered()
        for found in _read(self._slot):
            self._suspect(found)
        self._clear()

    def suspect(self, topic: str, partition: int) -> Suspect | None:
        return self._suspects.get((topic, partition))

    @contextmanager
    def watching(self, *spans: Span) -> Iterator[None]:
        """Let a next process know if this one ends within, by whatever cause."""
        if self._is_blamed:
            yield
            return
        self._mark(spans)
        yield
        # Not in a `finally`: an exception ends the process, and is what is to be found.
        if not self._is_blamed:
            self._clear()

    def blame(self, *spans: Span) -> None:
        """The process is about to end because of one of these records. What it still merges until then is innocent."""
        self._mark(spans)
        self._is_blamed = True

    def passed(self, topic: str, partition: int, offset: int) -> None:
        """Everything up to *offset* was merged and is answered for: it is suspected no more."""
        suspect = self.suspect(topic, partition)
        if suspect is not None and offset >= suspect.last:
            del self._suspects[topic, partition]
            self._remember()

    def _suspect(self, found: Suspect) -> None:
        before, suspect = self.suspect(found.topic, found.partition), found
        if before and found.first == found.last and before.holds(found.first):
            # Once a run is taken apart, each offset is counted by itself.
            is_same = before.first == before.last
            suspect = replace(found, crashes=before.crashes + 1 if is_same else 1)
        log.warning("processor.ended_while_merging", **asdict(suspect))
        self._suspects[found.topic, found.partition] = suspect
        self._remember()

    def _remember(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(list(self._suspects.values())))
        fresh.replace(self._file)

    def _remembered(self) -> dict[tuple[str, int], Suspect]:
        if not self._file.exists():
            return {}
        found = [Suspect(**each) for each in orjson.loads(self._file.read_bytes())]
        return {(each.topic, each.partition): each for each in found}

    def _mark(self, spans: Iterable[Span]) -> None:
        marks = b""
        for topic, partition, first, last in spans:
            name = topic.encode()
            marks += _HEAD.pack(len(name), partition, first, last) + name
        # Two zeros end them. The first two bytes, without which there are none, come last.
        self._slot[2 : len(marks) + 2] = marks[2:] + b"\0\0"
        self._slot[:2] = marks[:2]

    def _clear(self) -> None:
        self._slot[:2] = b"\0\0"


@dataclass(slots=True, kw_only=True)
class SuspectKey:
    """A key that was being merged anew when the process ended, as its state was then."""

    partition: int
    key: bytes
    version: int
    """Of the state."""
    crashes: int = 1


class KeyCrashes:
    """The keys on which the process ended while it merged them anew: because time passed, or the policy changed.

    No record of a source is to blame, so none can be set aside: such a key keeps what was published of it until
    something else becomes of its state. Lives in the files of *directory*.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "suspect-keys.json"
        self._slot = _slot(directory / "merging-key")
        self._suspects = self._remembered()
        self._told: set[tuple[int, bytes]] = set()
        found = self._read()
        if found is not None:
            self._suspect(found)
        self._clear()

    def is_guilty(self, partition: int, key: bytes, version: int) -> bool:
        """Whether the process ended so often on that state that it is left as it is."""
        suspect = self._suspects.get((partition, key))
        return suspect is not None and suspect.version == version and suspect.crashes >= QUARANTINED_AFTER

    def tell_once(self, partition: int, key: bytes) -> bool:
        """Return True when this process asks for the first time."""
        is_new = (partition, key) not in self._told
        self._told.add((partition, key))
        return is_new

    @contextmanager
    def watching(self, partition: int, key: bytes, version: int) -> Iterator[None]:
        """Let a next process know if this one ends within, by whatever cause."""
        if len(key) > _SIZE - _KEY_HEAD.size:  # no processor wrote such a key
            yield
            return
        self._slot[_KEY_HEAD.size : _KEY_HEAD.size + len(key)] = key
        self._slot[: _KEY_HEAD.size] = _KEY_HEAD.pack(len(key), partition, version)
        yield
        # Not in a `finally`: an exception ends the process, and is what is to be found.
        self._clear()
        if (partition, key) in self._suspects:
            del self._suspects[partition, key]
            self._remember()

    def _suspect(self, found: SuspectKey) -> None:
        before = self._suspects.get((found.partition, found.key))
        if before is not None and before.version == found.version:
            found.crashes += before.crashes
        log.warning("processor.ended_while_merging_anew", partition=found.partition, crashes=found.crashes,
                    key=found.key.decode(errors="replace"))  # fmt: skip
        self._suspects[found.partition, found.key] = found
        self._remember()

    def _read(self) -> SuspectKey | None:
        length, partition, version = _KEY_HEAD.unpack_from(self._slot)
        key = self._slot[_KEY_HEAD.size : _KEY_HEAD.size + length]
        return SuspectKey(partition=partition, key=key, version=version) if length else None

    def _clear(self) -> None:
        self._slot[:2] = b"\0\0"

    def _remember(self) -> None:
        rows = [{**asdict(each), "key": each.key.hex()} for each in self._suspects.values()]
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(rows))
        fresh.replace(self._file)

    def _remembered(self) -> dict[tuple[int, bytes], SuspectKey]:
        rows = orjson.loads(self._file.read_bytes()) if self._file.exists() else []
        found = [SuspectKey(**{**row, "key": bytes.fromhex(row["key"])}) for row in rows]
        return {(each.partition, each.key): each for each in found}


def _slot(path: Path) -> mmap.mmap:
    """Return memory that outlives the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, _SIZE)
        return mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)


def _read(slot: mmap.mmap) -> Iterator[Suspect]:
    at = 0
    while any(slot[at : at + 2]):
        length, partition, first, last = _HEAD.unpack_from(slot, at)
        at += _HEAD.size + length
        yield Suspect(topic=slot[at - length : at].decode(), partition=partition, first=first, last=last)
