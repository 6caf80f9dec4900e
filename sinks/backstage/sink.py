"""Merged entities into a Backstage, in deltas, each version once; what it has confirmed is kept beside the offsets."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import ClassVar, Final

import psycopg
from prometheus_client import CollectorRegistry

from schemas.canonical import canonical_json, content_hash
from schemas.entities import Vanished
from schemas.errors import ConfigError, DecodeError, Skippable, ValidationError
from schemas.metrics import BackstageMetrics
from schemas.partitions import partition_of
from schemas.refs import entity_key
from sinks.backstage.circuit import Circuit, Pace
from sinks.backstage.client import BackstageClient
from sinks.backstage.descriptors import located, refusals, shard_of
from sinks.backstage.emissions import Change, Emissions
from sinks.backstage.feed import Feed
from sinks.backstage.line import Line
from sinks.backstage.options import read_options
from sinks.backstage.resync import Resync
from sinks.base import Delivery, Limits, Partition, Positions, Sink, SinkSettings
from sinks.entities import read_entity, read_key
from sinks.postgres.offsets import Offsets
from sinks.postgres.rebuilds import Rebuilds
from sinks.postgres.session import Session

COUNT_SECONDS: Final = 60.0
SWEPT_AT_ONCE: Final = 500
AT_ONCE: Final = 4
"""Shards that are spoken of at the same time, each on a connection of its own to Postgres."""
_INT64: Final = 2**63
_REFUSED: Final = (
    "Backstage refuses it: its reason is told by GET /v1/sinks/backstage/emissions?state=refused, and in its own log"
)


class RefusedError(Skippable):
    """Backstage does not take the entity. What it had accepted of it before stays there."""


class BackstageSink(Sink):
    """Writes to the module in Backstage, and the tables `backstage_emissions` and `backstage_scopes`."""

    rebuild_means: ClassVar[str] = (
        "every entity is compared with what Backstage has confirmed of it, and sent again where that differs; entities"
        " that the topic no longer holds are removed from Backstage"
    )
    # Mutations cost Backstage by their number as much as by their size: a shard's part of a batch should be large.
    limits: ClassVar[Limits] = Limits(records=12_000, size=40 * 1024 * 1024, span=1.0)
    tend_seconds: ClassVar[float] = 1.0
    pace: ClassVar[Pace] = Pace()

    def __init__(self, settings: SinkSettings) -> None:
        super().__init__(settings)
        self._options = options = read_options(settings)
        if not settings.dsn:
            raise ConfigError("the sink backstage needs a database; set postgres.dsn")
        metrics = BackstageMetrics(settings.registry or CollectorRegistry())
        metrics.resync_interval.set(options.resync_seconds)
        self._metrics = metrics
        self._offsets = Offsets(settings.name)
        self._rebuilds = Rebuilds(settings.name, settings.topics)
        self._lanes = [
            Emissions(Session(settings.dsn, settings.name), settings.name, options.tenant) for _ in range(AT_ONCE)
        ]
        self._emissions = self._lanes[0]
        client = BackstageClient(options.base_url, options.headers, self.pace)
        self._line = Line(client, Circuit(self.pace, time.monotonic), options.shards, metrics)
        self._feed = Feed(self._lanes, self._line, metrics, self.pace)
        self._resync = Resync(
            self._emissions,
            self._line,
            self._feed,
            metrics,
            is_whole=lambda: self._emissions.is_whole(settings.topics.entities, settings.topics.partitions),
            shards=options.shards,
            interval=options.resync_seconds,
            pace=self.pace,
        )
        self._leads = False
        self._count_at = 0.0
        # Refused once, and seen all the same: what cannot be carried on is no reason to remove what was.
        self._aside: list[Delivery] = []
        # So that the runner, while it looks for the record, does not ask about each again.
        self._refused: set[tuple[str, int]] = set()

    def stored_positions(self, partitions: Collection[Partition]) -> Positions:
        """Leave out what is to be read anew: as asked for, in another scope, or since ends may have been missed."""
        with self._emissions.transaction() as cursor:
            stored, idle = self._offsets.read(cursor, partitions)
            anew = self._rebuilds.read(cursor) | idle | self._outside(cursor, stored)
        self._aside, self._refused = [], set()
        self._leads = any(number == 0 for _, number in partitions)
        if not self._leads:
            # Whoever leads now counts; what was counted here would stand beside it for ever.
            self._metrics.hold({})
        return {partition: offset for partition, offset in stored.items() if partition not in anew}

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        try:
            changes = self._changes(batch)
            self._refuse_known(changes)
            refused = self._feed.carry(changes)
            self._refused |= {(each.ref, each.version) for each in changes if each.ref in refused}
            self._refuse_known(changes)
        except Skippable:
            self._aside += batch
            raise
        with self._emissions.transaction() as cursor:
            self._offsets.move(cursor, positions)
            self._rebuilds.mark(cursor, [each for each in (*self._aside, *batch) if self._is_carried(each.key)])
            self._offsets.attempt(positions)
        self._offsets.settle(positions)
        self._aside = []

    def request_rebuild(self, partitions: Collection[Partition]) -> None:
        with self._emissions.transaction() as cursor:
            self._rebuilds.request(cursor, partitions)

    def rewind(self, starts: Positions) -> None:
        """Also of a partition that was never read: until it was read as a whole, no shard is compared."""
        with self._emissions.transaction() as cursor:
            self._offsets.move(cursor, starts, is_rewind=True)
            self._rebuilds.begin(cursor, starts)
            self._emissions.write_scopes(cursor, starts, self._options.scope)
        self._offsets.settle(starts)

    def rebuilding(self, partitions: Collection[Partition]) -> Positions:
        return {partition: first for partition, first in self._rebuilds.under_way.items() if partition in partitions}

    def finish_rebuild(self, partition: Partition) -> int:
        swept = sum(self._pages_swept(partition))
        with self._emissions.transaction() as cursor:
            self._rebuilds.finish(cursor, partition)
        return swept

    def tend(self) -> int:
        """Go on with the resync, which is the business of whoever has the first partition."""
        if not self._leads:
            return 0
        self._resync.step()
        if time.monotonic() < self._count_at:
            return 0
        self._count_at = time.monotonic() + COUNT_SECONDS
        self._metrics.hold(self._emissions.counts())
        return self._emissions.purge(self.settings.keep_vanished)

    def close(self) -> None:
        self._line.close()
        for lane in self._lanes:
            lane.close()

    def _changes(self, batch: Iterable[Delivery]) -> list[Change]:
        """Return the newest change of each entity that is carried on. Raises DecodeError."""
        newest: dict[str, Change] = {}
        for delivery in batch:
            if self._is_carried(delivery.key):
                change = self._change(delivery)
                if change.ref not in newest or newest[change.ref].version <= change.version:
                    newest[change.ref] = change
        return list(newest.values())

    def _change(self, delivery: Delivery) -> Change:
        told = read_entity(delivery)
        if told.version >= _INT64:
            raise DecodeError("the version is no signed 64-bit integer")
        shard = shard_of(delivery.key, self._options.shards)
        if isinstance(told, Vanished):
            return Change(ref=told.entity_ref, shard=shard, version=told.version, content=None, content_hash=None)
        faults = refusals(told.entity_ref, told.entity, kinds=self._options.kinds)
        content = b"" if faults else canonical_json(located(told.entity, self._options.location))
        return Change(
            ref=told.entity_ref,
            shard=shard,
            version=told.version,
            content=content,
            content_hash=content_hash(content),
            faults=str(ValidationError(*faults)) if faults else None,
        )

    def _is_carried(self, key: bytes) -> bool:
        tenant, ref = read_key(key)
        return self._options.is_carried(tenant, ref.kind)

    def _refuse_known(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if (change.ref, change.version) in self._refused:
                raise RefusedError(change.faults or _REFUSED)

    def _outside(self, cursor: psycopg.Cursor, stored: Positions) -> set[Partition]:
        scopes = self._emissions.scopes(cursor, self.settings.topics.entities)
        return {at for at in stored if scopes.get(at[1], self._options.scope) != self._options.scope}

    def _pages_swept(self, partition: Partition) -> Iterator[int]:
        """Remove what was not seen of *partition*, page by page; yield how many there were."""
        topic, number = partition
        after = ""
        while True:
            with self._emissions.transaction() as cursor:
                self._rebuilds.hold(cursor, partition)
                page = self._emissions.unseen(cursor, topic, after, SWEPT_AT_ONCE)
                gone = defaultdict[int, list[tuple[str, int]]](list)
                for ref, version in page:
                    key = entity_key(self._options.tenant, ref)
                    if partition_of(key, self.settings.topics.partitions) == number:
                        gone[shard_of(key, self._options.shards)].append((ref, version))
                for shard, entities in sorted(gone.items()):
                    self._feed.remove(cursor, shard, entities)
            yield sum(map(len, gone.values()))
            if len(page) < SWEPT_AT_ONCE:
                return
            after = page[-1][0]
