"""Backstage and the rows about it, kept in step: what is said of a shard and what was answered, in one transaction.

The transaction stays open while Backstage is asked, and holds the shard: two processes never speak of one shard at
once. One that ends in between leaves the rows as they were, and the same is said again. Different shards are spoken of
at the same time, each in a transaction of its own: Backstage waits for its database most of the time that it needs.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from queue import SimpleQueue
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
    """Carries changes of shards on, and whole shards. *lanes*: as many shards as these are spoken of at once."""

    def __init__(
        self,
        lanes: Sequence[Emissions],
        line: Line,
        metrics: BackstageMetrics,
        pace: Pace,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emissions = lanes[0]
        self._free = SimpleQueue[Emissions]()
        self._lanes = len(lanes)
        for lane in lanes:
            self._free.put(lane)
        self._line = line
        self._metrics = metrics
        self._pace = pace
        self._clock = clock

    def carry(self, changes: Sequence[Change]) -> dict[str, str]:
        """Let Backstage know of *changes*, one of each entity; return those that were refused, and why.

        Raises Retriable; what was answered by then is not said again when the call is repeated.
        """
        self._metrics.unconfirmed.set(len(changes))
        until = self._clock() + self._pace.batch_seconds
        with ThreadPoolExecutor(self._lanes, thread_name_prefix="backstage") as pool:
            begun = [pool.submit(self._carry, shard, found, until) for shard, found in _by_shard(changes).items()]
            wait(begun, return_when=FIRST_EXCEPTION)
            # After a failure, the shards that were not begun are left for the next try.
            pool.shutdown(cancel_futures=True)
        refused = dict[str, str]()
        for shard in begun:
            if not shard.cancelled():
                refused |= shard.result()
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

    def _carry(self, shard: int, changes: Sequence[Change], until: float) -> dict[str, str]:
        """Carry on what one shard has of a batch: in order, in as many deltas as it takes."""
        refused, lane = dict[str, str](), self._free.get()
        try:
            for begin in range(0, len(changes), PIECE):
                if self._clock() > until:
                    raise Retriable("Backstage is slow: the rest of the batch follows after a pause")
                part = changes[begin : begin + PIECE]
                refused |= self._carry_part(lane, shard, part)
                self._metrics.unconfirmed.dec(len(part))
        finally:
            self._free.put(lane)
        return refused

    def _carry_part(self, lane: Emissions, shard: int, changes: Sequence[Change]) -> dict[str, str]:
        with lane.shard(shard) as cursor:
            made = plan(changes, lane.read(cursor, (change.ref for change in changes)))
            verdicts = self._line.change(shard, [Item(ref=each.ref, content=each.content) for each in made.send])
            judged = [*made.judged, *((each, verdicts[each.ref]) for each in made.send)]
            lane.record(cursor, judged)
            lane.advance(cursor, made.unchanged)
        _tell(shard, verdicts)
        return {each.ref: verdict.reason or "" for each, verdict in judged if verdict.state == "refused"}


def _by_shard(changes: Iterable[Change]) -> Mapping[int, Sequence[Change]]:
    by_shard = defaultdict[int, list[Change]](list)
    for change in changes:
        by_shard[change.shard].append(change)
    return by_shard


def _tell(shard: int, verdicts: dict[str, Verdict]) -> None:
    for ref, verdict in verdicts.items():
        if verdict.state in {"refused", "conflict"}:
            log.warning("backstage.not_applied", state=verdict.state, entity_ref=ref, shard=shard)
