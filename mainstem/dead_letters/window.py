"""Dead letters that nobody decided about, from a place on and a batch at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar, Final, Self

from mainstem.cluster import Client, Cluster
from mainstem.dead_letters.decisions import Decisions
from mainstem.dead_letters.letters import DeadLetter, LetterId
from mainstem.dead_letters.reading import Reader
from schemas.topics import Topics

BATCH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Where dead letters lie, and what was decided about them."""

    client: Client
    topics: Topics
    dsn: str


class Window:
    """One look at what is there now: partition by partition, oldest first. Values are left out.

    Blocks; may be handed from thread to thread. Raises UnavailableError.
    """

    size: ClassVar[int] = BATCH

    def __init__(self, letters: Letters, start: LetterId) -> None:
        self._letters = letters
        self._start = start
        self._reader: Reader | None = None
        self._decisions: Decisions | None = None
        self._left: Iterator[DeadLetter] = iter(())
        self.is_over = False

    def open(self) -> Self:
        """May be called once. :meth:`close` is to be called whether or not it succeeds."""
        topic = self._letters.topics.dead_letters
        cluster = Cluster(self._letters.client)
        found = cluster.existing([topic]).get(topic)
        if found is None:
            return self
        cluster_id = cluster.cluster_id()
        self._decisions = Decisions(self._letters.dsn, cluster_id=cluster_id, topic=topic)
        group = self._letters.topics.operator_group
        self._reader = Reader(self._letters.client, topic=topic, group=group, partitions=found.partitions)
        self._left = self._reader.scan(self._after(self._reader.starts(None)), lambda _: None)
        return self

    def batch(self) -> tuple[list[DeadLetter], LetterId]:
        """Return the next ones, and where the letters behind them begin. Sets `is_over` behind the last."""
        read = [replace(letter, value=None) for letter in islice(self._left, BATCH)]
        self.is_over = len(read) < BATCH
        if not read or self._decisions is None:
            return [], self._start
        decided = self._decisions.of(read)
        return [letter for letter in read if letter.id not in decided], behind(read[-1])

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._decisions is not None:
            self._decisions.close()

    def _after(self, starts: Mapping[int, int]) -> dict[int, int]:
        first = self._start
        return {
            number: max(start, first.offset) if number == first.partition else start
            for number, start in starts.items()
            if number >= first.partition
        }


def behind(letter: DeadLetter) -> LetterId:
    """Return the place behind *letter*."""
    return LetterId(letter.id.partition, letter.id.offset + 1)
