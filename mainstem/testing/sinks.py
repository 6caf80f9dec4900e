"""The promises that every sink must keep, as checks for the sink that you wrote.

```python
import pytest
from mainstem.testing.sinks import PROMISES, SinkSubject

@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_my_sink(promise, tmp_path):
    promise(SinkSubject(make=lambda: MySink(settings(tmp_path)), applied=lambda: rows_of(tmp_path)))
```

A broken promise is an AssertionError that says what the sink did.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from mainstem.testing.history import History
from mainstem.testing.judge import Applied, HeldRecord, Judge, RecordJudge, shown
from mainstem.testing.memory_runner import MemoryRunner
from schemas.entities import MergedEntity
from schemas.errors import Retriable
from sinks.base import Delivery, Sink
from sinks.batches import ends

__all__ = ["FAULT_PROMISES", "PROMISES", "Applied", "HeldRecord", "SinkSubject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSubject:
    """A sink and a target of its own, empty at the beginning of each promise."""

    make: Callable[[], Sink]
    """Return a new sink on that target, as a process that was started again would."""
    applied: Callable[[], Sequence[Applied]]
    """Read the target: the state of each entity; or, with *keeps_history*, all that it was ever told, in order."""
    expected: Callable[[MergedEntity], Any] = shown
    """What `Applied.content` is for a merged entity; its descriptor unless said otherwise."""
    keeps_history: bool = False
    records: Callable[[], Sequence[HeldRecord]] | None = None
    """Read what the target holds of single records: of a sink that reads the changelog too."""
    outage: Callable[[], AbstractContextManager[None]] | None = None
    """For FAULT_PROMISES: while it is entered, the sink's system cannot be reached."""
    seed: int = 1


def applies_each_version_once_and_in_order(subject: SinkSubject) -> None:
    """After every write the target holds the highest version of each entity, and nothing that is gone."""
    stage = _Stage(subject)
    sink = subject.make()
    for batch in stage.batches(stage.runner.start(sink)):
        stage.runner.write(sink, batch)
    sink.close()
    stage.judge.look()


def a_repeated_batch_changes_nothing(subject: SinkSubject) -> None:
    """A write whose answer was lost is repeated, by the same process and by its successor."""
    stage = _Stage(subject)
    sink = subject.make()
    for batch in stage.batches(stage.runner.start(sink)):
        stage.runner.write(sink, batch)
        stage.runner.write(sink, batch)
    sink.close()


def a_crash_loses_and_reverts_nothing(subject: SinkSubject) -> None:
    """A process ends after a write and before its commit; its successor reads on, in other batches."""
    stage, ended = _Stage(subject), []
    for survives in (2, 1, 3, 0, 5, 10_000):
        sink = subject.make()
        ended.append(sink)
        for number, batch in enumerate(stage.batches(stage.runner.start(sink))):
            stage.runner.write(sink, batch)
            if number == survives:
                break
            stage.runner.commit(batch)
    stage.judge.is_complete(stage.history.content)
    for sink in ended:
        sink.close()


def reading_all_anew_reverts_nothing(subject: SinkSubject) -> None:
    """`mainstem sinks rebuild` and a restored backup deliver again what was delivered long ago."""
    stage = _Stage(subject)
    for _ in range(2):
        sink = subject.make()
        stage.runner.start(sink)
        for batch in stage.batches(stage.history.deliveries):
            stage.runner.write(sink, batch)
        sink.close()
    stage.judge.is_complete(stage.history.content)


def poison_is_set_aside_alone(subject: SinkSubject) -> None:
    """What no processor wrote raises Skippable; all other records of its batch arrive."""
    stage = _Stage(subject)
    log, poison = stage.history.with_poison()
    runner = MemoryRunner(log, written=stage.judge.carried)
    sink = subject.make()
    for batch in stage.batches(runner.start(sink)):
        runner.write(sink, batch)
    sink.close()
    assert runner.dead_letters == poison, (
        f"{len(poison)} records are poison and {len(runner.dead_letters)} were set aside: raise Skippable"
        " (DecodeError, as sinks.entities.read_entity does) for what cannot be understood, and for nothing else"
    )


def stored_positions_follow_what_was_written(subject: SinkSubject) -> None:
    """A sink that stores positions stores exactly those of its last write; one that stores none always says None."""
    stage = _Stage(subject)
    sink = subject.make()
    partitions = sorted({(found.topic, found.partition) for found in stage.history.deliveries})
    before, known = sink.stored_positions(partitions), dict[tuple[str, int], int]()
    assert not before, f"a new target has no positions, and the sink tells {before}"
    for batch in stage.batches(stage.history.deliveries):
        stage.runner.write(sink, batch)
        known |= ends(batch)
    beyond = {partition: offset + 3 for partition, offset in known.items()}
    sink.write((), beyond)
    sink.close()
    after = subject.make()
    stored = after.stored_positions(partitions)
    first = after.stored_positions(partitions[:1])
    after.close()
    if before is None:
        assert stored is None, "stored_positions was None before the first write: the group's offsets count, for ever"
        return
    assert stored == beyond, f"write was given the positions {beyond}, and a new sink finds {stored}"
    assert first == {partitions[0]: beyond[partitions[0]]}, "stored_positions tells of partitions that nobody asked for"


def close_may_come_at_any_time(subject: SinkSubject) -> None:
    """A sink that never wrote can be closed, and closing loses nothing."""
    subject.make().close()
    applies_each_version_once_and_in_order(subject)


def an_outage_is_waited_out(subject: SinkSubject) -> None:
    """While its system is away a write raises Retriable and nothing else; afterwards the same call succeeds."""
    if subject.outage is None:
        raise TypeError("FAULT_PROMISES need SinkSubject(outage=…)")
    stage = _Stage(subject)
    sink = subject.make()
    batches = stage.batches(stage.runner.start(sink))
    stage.runner.write(sink, batches[0])
    with subject.outage():
        for _ in range(2):
            try:
                sink.write(batches[1], ends(batches[1]))
            except Retriable:
                continue
            raise AssertionError("a write returned while the sink's system was away: what it was given is lost")
    for batch in batches[1:]:
        stage.runner.write(sink, batch)
    sink.close()
    stage.judge.is_complete(stage.history.content)


PROMISES: Final = (
    applies_each_version_once_and_in_order,
    a_repeated_batch_changes_nothing,
    a_crash_loses_and_reverts_nothing,
    reading_all_anew_reverts_nothing,
    poison_is_set_aside_alone,
    stored_positions_follow_what_was_written,
    close_may_come_at_any_time,
)
"""What any sink must keep: each is called with a SinkSubject of its own."""
FAULT_PROMISES: Final = (an_outage_is_waited_out,)
"""What a sink must keep whose system can be taken away in a test."""


class _Stage:
    """One history, one log, one judge."""

    def __init__(self, subject: SinkSubject) -> None:
        asked = subject.make()
        topics, read = asked.settings.topics, list(asked.topics)
        asked.close()
        if topics.entities not in read:
            raise TypeError("the kit is for sinks that read the entities topic")
        self.history = History(topics, read, seed=subject.seed)
        if subject.records is not None and topics.changelog not in read:
            raise TypeError("SinkSubject(records=…) is for sinks that read the changelog")
        self.judge = Judge(
            subject.applied,
            subject.expected,
            topics.entities,
            keeps_history=subject.keeps_history,
            records=None if subject.records is None else RecordJudge(subject.records, topics.changelog),
        )
        self.runner = MemoryRunner(self.history.deliveries, written=self.judge.carried)
        self._draw = random.Random(subject.seed)  # noqa: S311 - to be repeated, not to be secret

    def batches(self, deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
        """Part *deliveries* into batches of another size each time."""
        parted: list[list[Delivery]] = []
        begin = 0
        while begin < len(deliveries):
            size = self._draw.choice((1, 2, 3, 5, 8, 13))
            parted.append(list(deliveries[begin : begin + size]))
            begin += size
        return parted
