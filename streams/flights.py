"""Runs that are merged as one: of each topic the next one of a partition, where several wait at the same time.

A key that several connectors say something about is then merged and written once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.crashes import SPANS, Span
from streams.transport import RUN_BYTES, RUN_RECORDS, Run

JOINED_RECORDS: Final = 3 * RUN_RECORDS
"""Of runs that are merged as one. They have no more bytes than a single run may have."""


@dataclass(eq=False, slots=True)
class Flight:
    """Runs of one partition on their way, until the broker has answered for all that came of them.

    Without any, where what is written comes of no source.
    """

    runs: Sequence[Run] = ()
    finished: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def spans(self) -> list[Span]:
        return [(*run.tp, run.records[0].offset, run.ends - 1) for run in self.runs]


def next_together(waiting: list[Run], is_alone: Callable[[Run], bool]) -> list[Run]:
    """Take from *waiting* the first run, and what can be merged with it. Each topic's runs stay in order."""
    first = waiting.pop(0)
    if is_alone(first):
        return [first]
    together, passed = [first], {first.tp}
    records, size = len(first.records), _size(first)
    for run in list(waiting):
        if run.tp.partition != first.tp.partition or run.tp in passed:
            continue
        passed.add(run.tp)
        more, larger = records + len(run.records), size + _size(run)
        if len(together) < SPANS and more <= JOINED_RECORDS and larger <= RUN_BYTES and not is_alone(run):
            records, size = more, larger
            together.append(run)
            waiting.remove(run)
    return together


def _size(run: Run) -> int:
    return sum(len(record.value or b"") for record in run.records)
