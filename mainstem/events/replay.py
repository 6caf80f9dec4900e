"""Events that somebody has missed, from the one that they got last on.

An id names one record of one partition; how far its reader had come in the others nobody knows. So these are read
anew from a while before it, and what is read is told in the order of time: whoever breaks off in the midst of it has
seen all partitions up to about the same moment. Repeats are the price, gaps are not.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final, NamedTuple

from mainstem.events.topic import Event, EventId, Positions, TopicReader

MARGIN_MS: Final = 10 * 60 * 1000
"""How much older than the event that somebody got last one may be that they did not get. It covers what the clocks of
those who send events differ by, and for how long a partition may be silent to a reader who tells others (`hub.py`)."""
SCANNED_MOST: Final = 500_000
_AHEAD: Final = 200
_AHEAD_BYTES: Final = 1024 * 1024


class _Found(NamedTuple):
    offset: int
    timestamp: int


class Replay:
    """Reads on from where somebody was. Every method may take its time, and raises UnavailableError."""

    def __init__(self, reader: TopicReader, starts: Positions, ends: Positions) -> None:
        self._reader = reader
        self._ends = ends
        self.positions = dict(starts)
        """Up to where events were handed out."""
        self._heads: dict[int, deque[Event]] = {number: deque() for number in starts}
        self._paused: set[int] = set()
        self._lock = threading.Lock()
        self._is_closed = False
        reader.begin(starts)

    @classmethod
    def begin(cls, reader: TopicReader, last: EventId, number: int, merged_at: int | None) -> "Replay | None":
        """Return what follows the event *last* of partition *number*; None when the topic does not hold it.

        *merged_at*: when its entity was merged (epoch ms), where that is known.
        """
        # Its epoch is when the processor was given the partition.
        begin = (last.version >> 20) * 1000 if merged_at is None else merged_at
        found = _find(reader, last, number, begin - MARGIN_MS)
        if found is None:
            return None
        ends = reader.ends()
        starts = reader.since(found.timestamp - MARGIN_MS)
        return cls(reader, {**starts, number: found.offset + 1}, ends)

    @property
    def is_done(self) -> bool:
        return all(self.positions[number] >= end for number, end in self._ends.items())

    def go_on(self, ends: Positions) -> None:
        """Read further than was known at first."""
        self._ends = {number: max(end, ends.get(number, 0)) for number, end in self._ends.items()}

    def look_again(self) -> None:
        """Go on to where the topic ends now."""
        with self._lock:
            if not self._is_closed:
                self.go_on(self._reader.ends())

    def chunk(self, at_most: int) -> list[Event]:
        """Return the next events in the order of time; none may mean that there are none yet."""
        with self._lock:
            if self._is_closed:
                return []
            self._gather()
            return list(islice(self._merged(), at_most))

    def close(self) -> None:
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._reader.close()

    def _merged(self) -> Iterator[Event]:
        while open_ones := self._open():
            if not all(self._heads[number] for number in open_ones):
                return  # the one to come may be the oldest
            number = min(open_ones, key=lambda each: self._heads[each][0].timestamp)
            event = self._heads[number].popleft()
            self.positions[number] = event.offset + 1
            yield event

    def _gather(self) -> None:
        """Return when the next event of each partition is there."""
        quiet_since = time.monotonic()
        while any(not self._heads[number] for number in self._open()):
            self._hold_back()
            found = self._reader.read(0.1)
            quiet_since = time.monotonic() if found else quiet_since
            for event in found:
                if event.offset >= self._reached(event.partition):
                    self._heads[event.partition].append(event)
            self._reader.require(quiet_since)

    def _open(self) -> list[int]:
        return [number for number, end in self._ends.items() if self.positions[number] < end]

    def _reached(self, number: int) -> int:
        heads = self._heads[number]
        return heads[-1].offset + 1 if heads else self.positions[number]

    def _hold_back(self) -> None:
        """Let no partition run far ahead of the others."""
        full = {number for number, heads in self._heads.items() if _is_full(heads)}
        if freed := self._paused - full:
            self._reader.resume(freed)
        if more := full - self._paused:
            self._reader.pause(more)
        self._paused = full


def _is_full(heads: deque[Event]) -> bool:
    return len(heads) > _AHEAD or sum(len(each.data) for each in heads) > _AHEAD_BYTES


def _find(reader: TopicReader, wanted: EventId, number: int, since: int) -> _Found | None:
    """Return the first record of an event: a sink that sends all anew repeats it far behind."""
    low, high = reader.bounds()[number]
    begin = max(low, reader.since(since)[number])
    name = str(wanted)
    # A clock may have been wrong: then it lies before.
    for event in islice(chain(reader.scan(number, begin, high), reader.scan(number, low, begin)), SCANNED_MOST):
        if event.id == name:
            return _Found(event.offset, event.timestamp)
    return None
