"""What a worker was merging when its process ended, kept where the next process finds it.

A record on which the process ended again and again is set aside, however it ended: an exception that nobody expected,
a fault in native code, the kernel out of memory.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import orjson
import structlog

log = structlog.get_logger(__name__)

QUARANTINED_AFTER: Final = 5
"""Crashes on one offset."""

_SIZE: Final = 4096
_HEAD: Final = struct.Struct(">HIQQ")  # length of the topic's name, partition, first and last offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """Records of one partition, one of which may have ended the process."""

    topic: str
    partition: int
    first: int
    last: int
    crashes: int = 1

    def holds(self, topic: str, partition: int, offset: int) -> bool:
        return (topic, partition) == (self.topic, self.partition) and self.first <= offset <= self.last

    @property
    def is_guilty(self) -> bool:
        return self.first == self.last and self.crashes >= QUARANTINED_AFTER


class Crashes:
    """One suspect at most: merges come one after the other. Lives in the files of *directory*."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "suspect.json"
        self._slot = _slot(directory / "merging")
        self.suspect = self._suspect_after(_read(self._slot))
        self._clear()

    @contextmanager
    def watching(self, topic: str, partition: int, first: int, last: int) -> Iterator[None]:
        """Let a next process know if this one ends within, by whatever cause."""
        self.blame(topic, partition, first, last)
        yield
        # Not in a `finally`: an exception ends the process, and is what is to be found.
        self._clear()

    def blame(self, topic: str, partition: int, first: int, last: int) -> None:
        """The process is about to end because of one of these records, or may be."""
        name = topic.encode()
        self._slot[_HEAD.size : _HEAD.size + len(name)] = name
        self._slot[: _HEAD.size] = _HEAD.pack(len(name), partition, first, last)

    def passed(self, topic: str, partition: int, offset: int) -> None:
        """Everything up to *offset* was merged and is answered for: it is suspected no more."""
        suspect = self.suspect
        if suspect and (topic, partition) == (suspect.topic, suspect.partition) and offset >= suspect.last:
            self.suspect = None
            self._file.unlink(missing_ok=True)

    def _suspect_after(self, found: Suspect | None) -> Suspect | None:
        before = self._remembered()
        if found is None:
            return before
        suspect = found
        if before and found.first == found.last and before.holds(found.topic, found.partition, found.first):
            # Once a run is taken apart, each offset is counted by itself.
            is_same = before.first == before.last
            suspect = replace(found, crashes=before.crashes + 1 if is_same else 1)
        log.warning("processor.ended_while_merging", **asdict(suspect))
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(suspect))
        fresh.replace(self._file)
        return suspect

    def _remembered(self) -> Suspect | None:
        try:
            return Suspect(**orjson.loads(self._file.read_bytes()))
        except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
            return None

    def _clear(self) -> None:
        self._slot[:2] = b"\0\0"


def _slot(path: Path) -> mmap.mmap:
    """Return memory that outlives the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, _SIZE)
        return mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)


def _read(slot: mmap.mmap) -> Suspect | None:
    length, partition, first, last = _HEAD.unpack_from(slot)
    if not length:
        return None
    topic = slot[_HEAD.size : _HEAD.size + length].decode()
    return Suspect(topic=topic, partition=partition, first=first, last=last)
