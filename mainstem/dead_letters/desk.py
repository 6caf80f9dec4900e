"""Dead letters with what was decided about them, and the deciding."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Final, Self

from mainstem.dead_letters.decisions import Decision, Decisions
from mainstem.dead_letters.letters import DeadLetter, Filter, LetterId, refusal, replayed
from mainstem.dead_letters.reading import Reader, Step
from mainstem.installation import Installation
from schemas.errors import TopicMismatchError
from sources.publisher import Publisher, Receipt

BATCH: Final = 500

Found = tuple[DeadLetter, Decision | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of deciding about one dead letter: *refused* says why nothing did."""

    letter: DeadLetter
    receipt: Receipt | None = None
    refused: str | None = None


class Desk:
    """One look at the dead letters of an installation; a batch of them is held at a time."""

    def __init__(
        self, installation: Installation, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._topics = installation.topics
        self._client = installation.client
        self._clock = clock
        topic = self._topics.dead_letters
        cluster = installation.cluster
        found = cluster.existing([topic]).get(topic)
        if found is None:
            raise TopicMismatchError(f"topic {topic} does not exist; run `mainstem topics create`")
        with ExitStack() as stack:
            self._decisions = Decisions(installation.dsn, cluster_id=cluster.cluster_id(), topic=topic)
            stack.callback(self._decisions.close)
            group = self._topics.operator_group
            self._reader = Reader(self._client, topic=topic, group=group, partitions=found.partitions)
            stack.callback(self._reader.close)
            self._opened = stack.pop_all()
        self._publishers: dict[str, Publisher] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def starts(self, wanted: Filter) -> Mapping[int, int]:
        return self._reader.starts(wanted.since)

    def count(self, starts: Mapping[int, int]) -> int:
        """Return how many records :meth:`matching` goes through at most."""
        return self._reader.count(starts)

    def matching(self, wanted: Filter, starts: Mapping[int, int], step: Step, *, decided: bool) -> Iterator[Found]:
        """Yield what matches, less what somebody decided about unless *decided*. The same each time it is asked."""
        letters = (letter for letter in self._reader.scan(starts, step) if wanted.matches(letter))
        return (found for found in self._judged(letters) if decided or found[1] is None)

    def named(self, ids: Iterable[LetterId]) -> Iterator[Found]:
        """Yield those of *ids*, in their order."""
        return self._judged(self._reader.find(ids))

    def refusal(self, letter: DeadLetter, *, force: bool) -> str | None:
        return refusal(letter, self._topics, now=self._clock(), force=force)

    def replay(self, letters: Iterable[DeadLetter], *, by: str, force: bool) -> Iterator[Outcome]:
        """Publish *letters* again, and remember it once Kafka has them: after a crash in between, one is listed again,
        and a second replay changes nothing.
        """
        for batch in _batches(letters):
            refused = {letter.id: self.refusal(letter, force=force) for letter in batch}
            sent = [letter for letter in batch if refused[letter.id] is None]
            receipts = self._publish(sent)
            if sent:
                self._decisions.record(sent, "replayed", by=by)
            for letter in batch:
                yield Outcome(letter=letter, receipt=receipts.get(letter.id), refused=refused[letter.id])

    def discard(self, letters: Iterable[DeadLetter], *, by: str) -> Iterator[Outcome]:
        """Remember that nothing is to be done about *letters*; Kafka keeps them as long as the others."""
        for batch in _batches(letters):
            self._decisions.record(batch, "discarded", by=by)
            yield from (Outcome(letter=letter) for letter in batch)

    def _judged(self, letters: Iterable[DeadLetter]) -> Iterator[Found]:
        for batch in _batches(letters):
            decided = self._decisions.of(batch)
            yield from ((letter, decided.get(letter.id)) for letter in batch)

    def _publish(self, letters: Sequence[DeadLetter]) -> dict[LetterId, Receipt]:
        receipts: dict[LetterId, Receipt] = {}
        for topic in dict.fromkeys(letter.aside.topic for letter in letters if letter.aside):
            of_topic = [letter for letter in letters if letter.aside and letter.aside.topic == topic]
            if topic not in self._publishers:
                self._publishers[topic] = Publisher(self._client, topic)
            answered = self._publishers[topic].publish(replayed(letter) for letter in of_topic)
            receipts |= {letter.id: receipt for letter, receipt in zip(of_topic, answered, strict=True)}
        return receipts


def _batches(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    waiting = iter(letters)
    while batch := list(islice(waiting, BATCH)):
        yield batch
