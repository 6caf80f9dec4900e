"""Records that somebody else wrote to partitions that are ours.

A worker that lost its partitions sends nothing more. What it had sent before may still lie in the network, and is
appended once that heals: behind what its successor wrote, where readers and compaction take it for the newest.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from faust.types.tuples import TP


class ForeignWrites:
    """Watches partitions of which one worker is the only writer: each of its records lies right behind the last one."""

    def __init__(self) -> None:
        self._next: dict[TP, int] = {}
        self._under_way: Counter[TP] = Counter()
        self._shared: set[TP] = set()
        self._found: set[int] = set()

    def begin(self, tp: TP, end: int, *, expected: int | None = None) -> None:
        """*tp* is ours, and our next record of it gets the offset *end*.

        *expected*: what *end* is unless somebody else wrote since it was last looked at; None where nobody looked.
        """
        self._next[tp] = end
        self._shared.discard(tp)
        if expected is not None and end != expected:
            self._find(tp)

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions are not ours any more. What was found and not yet taken is said once they are again."""
        gone = set(partitions)
        self._next = {tp: end for tp, end in self._next.items() if tp.partition not in gone}

    def end(self, tp: TP) -> int:
        """Return the offset of our next record of *tp*, which is ours and to which nothing is on its way."""
        return self._next[tp]

    def is_alone(self, tp: TP) -> bool:
        """Whether *tp* is ours, and all records of it since it is are ours, as far as is known."""
        return tp in self._next and tp not in self._shared

    def sending(self, tp: TP) -> None:
        """A batch is about to be sent: :meth:`sent` or :meth:`unsent` follows."""
        self._under_way[tp] += 1

    def unsent(self, tp: TP) -> None:
        self._under_way[tp] -= 1

    def sent(self, tp: TP, count: int, answer: Any) -> None:
        """A batch of *count* records is on its way; *answer* is the future of what the broker says."""
        answer.add_done_callback(partial(self._answered, tp, count))

    def calm(self) -> dict[TP, int]:
        """Return the end, as we know it, of each partition to which nothing is on its way."""
        return {tp: end for tp, end in self._next.items() if not self._under_way[tp]}

    def compare(self, calm: Mapping[TP, int], ends: Mapping[Any, int | None]) -> None:
        """*ends* are those that the broker knew some time after :meth:`calm`."""
        for tp, end in calm.items():
            found = ends.get(tp) or 0
            if found > end and self._next.get(tp) == end and not self._under_way[tp]:
                self._next[tp] = found
                self._find(tp)

    def take(self, partitions: Iterable[int]) -> set[int]:
        """Return those of *partitions* in which foreign records were found since this was asked last."""
        found = self._found.intersection(partitions)
        self._found -= found
        return found

    def _answered(self, tp: TP, count: int, answer: Any) -> None:
        self._under_way[tp] -= 1
        expected = self._next.get(tp)
        if expected is None or answer.cancelled() or answer.exception() is not None:
            return
        offset = answer.result().offset
        if offset != expected:
            self._find(tp)
        self._next[tp] = max(offset, expected) + count

    def _find(self, tp: TP) -> None:
        self._shared.add(tp)
        self._found.add(tp.partition)
