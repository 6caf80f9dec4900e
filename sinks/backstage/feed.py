"""Backstage and the rows about it, kept in step: what is said of a shard and what was answered, in one transaction.

The transaction stays open while Backstage is asked, and holds the shard: two processes never speak of one shard at
once. One that ends in between leaves the rows as they were, and the same is said again.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import psycopg
import structlog

from schemas.errors import Retriable
from schemas.metrics import BackstageMetrics
from sinks.backstage.circuit import Pace
from sinks.backstage.delta import plan
from sinks.backstage.emissions import Change, Emissions, Standing
from sinks.backstage.line import PIECE, Item, Line, Verdict

log = structlog.get_logger(__name__)

_REMOVED: Final = Verdict(state="removed")


class Feed:
    """Carries changes of shards on, and whole shards."""

    def __init__(
        self,
        emissions: Emissions,
        line: Line,
        metrics: BackstageMetrics,
        pace: Pace,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emissions = emissions
        self._line = line
        self._metrics = metrics
        self._pace = pace
        self._clock = clock

    def carry(self, changes: Sequence[Change]) -> dict[str, str]:
        """Let Backstage know of *changes*, one of each entity; return those that were refused, and why.

        Raises Retriable; what was answered by then is not said again when the call is repeated.
        """
        began, left, refused = self._clock(), len(changes), dict[str, str]()
        self._metrics.unconfirmed.set(left)
        for shard, part in _parts(changes):
            if self._clock() - began > self._pace.batch_seconds:
                raise Retriable("Backstage is slow: the rest of the batch follows after a pause")
            refused |= self._carry(shard, part)
            left -= len(part)
            self._metrics.unconfirmed.set(left)
        return refused

    def put(self, shard: int) -> None:
        """Let Backstage hold of *shard* what was carried on and nothing else."""
        with self._emissions.shard(shard) as cursor:
            items, states = self._emissions.content(cursor, shard)
            standing = self._emissions.standings(cursor, shard).get(shard, Standing())
            verdicts = self._line.put(shard, items, standing.hash)
            news = {
                ref: verdict
                for ref, verdict in verdicts.items()
                # What was refused of a newer version is no verdict on the content that is held.
                if verdict.state != states[ref] and not (states[ref] == "refused" and verdict.state == "applied")
            }
            self._emissions.settle(cursor, news)
        _tell(shard, news)

    def remove(self, cursor: psycopg.Cursor, shard: int, entities: Sequence[tuple[str, int]]) -> None:
        """Remove what nobody holds any more: (reference, version) each, unless a newer version came meanwhile."""
        self._emissions.hold(cursor, shard)
        held = self._emissions.read(cursor, (ref for ref, _ in entities))
        gone = [
            Change(ref=ref, shard=shard, version=version, content=None, content_hash=None)
            for ref, version in entities
            if ref in held and held[ref].version == version and held[ref].state != "removed"
        ]
        self._line.change(shard, [Item(ref=each.ref, content=None) for each in gone if held[each.ref].has_content])
        self._emissions.record(cursor, [(each, _REMOVED) for each in gone])

    def _carry(self, shard: int, changes: Sequence[Change]) -> dict[str, str]:
        with self._emissions.shard(shard) as cursor:
            made = plan(changes, self._emissions.read(cursor, (change.ref for change in changes)))
            verdicts = self._line.change(shard, [Item(ref=each.ref, content=each.content) for each in made.send])
            judged = [*made.judged, *((each, verdicts[each.ref]) for each in made.send)]
            self._emissions.record(cursor, judged)
            self._emissions.advance(cursor, made.unchanged)
        _tell(shard, verdicts)
        return {each.ref: verdict.reason or "" for each, verdict in judged if verdict.state == "refused"}


def _parts(changes: Iterable[Change]) -> Iterable[tuple[int, Sequence[Change]]]:
    """Part *changes* by shard, and into as many as one delta takes."""
    by_shard = defaultdict[int, list[Change]](list)
    for change in changes:
        by_shard[change.shard].append(change)
    for shard, found in sorted(by_shard.items()):
        for begin in range(0, len(found), PIECE):
            yield shard, found[begin : begin + PIECE]


def _tell(shard: int, verdicts: dict[str, Verdict]) -> None:
    for ref, verdict in verdicts.items():
        if verdict.state in {"refused", "conflict"}:
            log.warning("backstage.not_applied", state=verdict.state, entity_ref=ref, shard=shard)
