"""The engine: Faust's group membership, assignment and recovery around runs of records.

What goes in is `merge`, a function that knows no Kafka; what comes out is written in one order: outputs first, then
state, then the commit. A crash in between repeats outputs with a higher version; none is ever lost.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import faust
import orjson
import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.serializers.codecs import Codec
from faust.types.tuples import TP

from schemas.metrics import ProcessorMetrics
from schemas.records import VERSION_BITS
from schemas.topics import OUTAGES_KEY
from streams.crashes import Crashes, KeyCrashes
from streams.distrust import Distrust
from streams.flights import Flight, next_together
from streams.foreign import ForeignWrites
from streams.lease import Lease
from streams.outages import Outages
from streams.partition import Merging, PartitionState, Written
from streams.rollout import PolicyRecord
from streams.table import ENDS_KEY, EPOCH_KEY, POLICY_KEY, RELEASED, RunTable, StateWrite
from streams.transport import Output, Position, Run, RunTransport
from streams.upkeep import Upkeep

log = structlog.get_logger(__name__)

IN_FLIGHT: Final = 8
"""Runs, or several that are merged as one, whose records the broker has not yet answered for."""
WAITING_RUNS: Final = 16
"""From which those are chosen that are merged as one."""
LAST_LOOK_SECONDS: Final = 5.0
"""For a last look at who wrote to partitions that are about to be let go."""


class _Identity(Codec):
    """The value of a message is a Run: nothing to encode or decode."""

    def loads(self, s: Any) -> Any:
        return s

    def dumps(self, obj: Any) -> Any:
        return obj


def _received(event: Any) -> Run:
    event.ack()
    return cast("Run", event.value)


class Engine(faust.App):
    """A Faust app that merges runs. Everything that Faust gets wrong about offsets and writes is replaced here."""

    def __init__(self, *args: Any, metrics: ProcessorMetrics, clock: Any, data_dir: Path, **kwargs: Any) -> None:
        self.run_topics: set[str] = set()
        self.run_tables: dict[str, RunTable] = {}
        self.metrics = metrics
        super().__init__(*args, datadir=str(data_dir), **kwargs)
        self.lease = Lease(self.conf.broker_session_timeout)
        self.crashes = Crashes(data_dir)
        self.key_crashes = KeyCrashes(data_dir)
        self.distrust = Distrust(data_dir)
        self.foreign = ForeignWrites()
        self.owned: dict[int, PartitionState] = {}
        """The partitions whose runs this worker merges now."""
        self._clock = clock
        self._letting_go = self._is_draining = False
        self._recovery_began: float | None = None
        self._done = 0
        self._in_flight: set[asyncio.Future[None]] = set()
        self._last: dict[int, asyncio.Future[None]] = {}
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._merge_lock = asyncio.Lock()
        self._release_lock = asyncio.Lock()
        self._versions: dict[int, int] = {}
        self._finishing: set[asyncio.Task[None]] = set()

    def prepare(self, topics: Iterable[str], partitions: int, merging: Merging, *, entities: str) -> None:
        """Declare the source *topics* (co-partitioned with the table) and what is done with their runs.

        To be called once, before the start. *entities*: the topic to which, as to the changelog, nobody but the owner
        of a partition writes.
        """
        self.run_topics.update(topics)
        self._entities = entities
        source = self.topic(*sorted(self.run_topics), value_serializer=_Identity(), key_serializer="raw")
        table = RunTable(self, name="records", key_type=bytes, value_type=bytes, partitions=partitions)
        self.run_tables[table.changelog_topic.get_topic_name()] = table
        self._table = self.tables.add(table)
        self.merging = merging
        self.agent(source, name="records", concurrency=1)(self._process)
        self.upkeep = Upkeep(self, self._table)
        self.upkeep.start()

    @property
    def lag(self) -> int | None:
        """How many records are not yet merged and answered; None while group, recovery or connection is not settled."""
        return sum(self._lags().values()) if self._is_settled else None

    @property
    def _is_settled(self) -> bool:
        """Whether every partition that the group gave us is begun; it may have given none."""
        if self.rebalancing or self.in_recovery or not self.lease.is_held:
            return False
        assigned = {tp for tp in self.consumer.assignment() if tp.topic in self.run_topics}
        return all(tp in self.consumer.positions for tp in assigned)

    def _lags(self) -> dict[TP, int]:
        positions: dict[TP, Position] = dict(self.consumer.positions)
        # Before the first fetch only the end at assignment is known.
        ends = {tp: max(int(self.consumer.highwater(tp) or 0), each.known) for tp, each in positions.items()}
        return {tp: max(0, ends[tp] - each.done) for tp, each in positions.items()}

    @property
    def done(self) -> int:
        """How many records this worker has merged so far; what it grows by is progress."""
        return self._done

    def observe(self) -> None:
        """Set the gauges."""
        self.metrics.recovery_remaining.set(max(0, self.tables.recovery.active_remaining_total()))
        self.metrics.in_flight.set(len(self._in_flight))
        self.metrics.partitions.set(len(self.owned))
        if self._recovery_began is not None and not self._is_settled:
            self.metrics.recovery_seconds.set(time.monotonic() - self._recovery_began)
        if not self.owned:
            return
        for tp, lag in self._lags().items():
            self.metrics.lag.labels(tp.topic, tp.partition).set(lag)
        lasting = set[str]().union(*(state.outages.lasting for state in self.owned.values()))
        for tp in self.consumer.positions:
            connector = tp.topic.rpartition(".")[2]
            self.metrics.outage.labels(connector).set(connector in lasting)

    async def start(self) -> None:
        # Not earlier: Faust binds a table's store to the event loop of the moment.
        self.distrust.remove_stores(self._table.data.partition_path)
        self._recovery_began = time.monotonic()
        await super().start()

    async def drain(self) -> None:
        """Begin no further run, wait for those in flight, and commit what they did."""
        self._letting_go = self._is_draining = True
        while self._in_flight:
            await asyncio.wait(self._in_flight)
        if self.owned:
            # Nothing is asked of Kafka within a rebalance: the consumer's thread waits for us there.
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self.upkeep.look_for_foreign(), LAST_LOOK_SECONDS)
            async with self._release_lock:
                await self._release()
            await self.consumer.commit()

    def _new_transport(self) -> RunTransport:
        return RunTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> RunTransport:
        return RunTransport(self.conf.broker_producer, self)

    # -- one run

    async def _process(self, stream: Any) -> None:
        async for event in stream.noack().events():
            waiting = [_received(event)]
            while waiting:
                # Faust is not asked for them: it may leave one out that is there, and wait for another.
                while len(waiting) < WAITING_RUNS and not stream.channel.queue.empty():
                    waiting.append(_received(stream.channel.queue.get_nowait()))
                await self._begin(next_together(waiting, self._is_suspected))

    async def _begin(self, runs: list[Run]) -> None:
        """Merge as one what of *runs*, all of one partition, is next."""
        for run in runs:
            await self.merging.prepare(run)
        await self._room.acquire()
        taken = [] if self._letting_go else [run for run in runs if self.consumer.take(run)]
        if not taken:
            self._room.release()
        else:
            flight, partition = Flight(taken), taken[0].tp.partition
            with self._flying(flight):
                async with self._merge_lock:
                    state = self.owned[partition]
                    state.is_replaying = state.is_being_rewritten or (
                        state.is_doubtful and any(map(self.consumer.is_replaying, taken))
                    )
                    await self._write(flight, partition, self._merge(flight, state))
        await self.consumer.fill_holes()

    def _is_suspected(self, run: Run) -> bool:
        return self.crashes.suspect(*run.tp) is not None

    def _merge(self, flight: Flight, state: PartitionState) -> Written:
        run = flight.runs[0]
        suspect = self.crashes.suspect(*run.tp)
        if suspect is not None and suspect.is_guilty and suspect.holds(run.records[0].offset):
            return self.merging.set_aside(run, state, suspect.crashes)
        with self.crashes.watching(*flight.spans), self.metrics.merge_seconds.time():
            return self.merging.run(flight.runs, state, self._clock())

    async def apply(self, partition: int, act: Callable[[PartitionState, int], Written]) -> bool:
        """Write what *act* makes of a partition, in line with its runs; no source offset is involved.

        Returns once the broker has answered; False when the partition is not ours, or not any more.
        """
        await self._room.acquire()
        state = self.owned.get(partition)
        if state is None or self._letting_go:
            self._room.release()
            return False
        flight = Flight()
        with self._flying(flight):
            async with self._merge_lock:
                await self._write(flight, partition, act(state, self._clock()))
        await flight.finished
        return True

    @contextlib.contextmanager
    def _flying(self, flight: Flight) -> Iterator[None]:
        """Count *flight* as under way. Whatever goes wrong before it is written, nobody waits for it for ever."""
        self._in_flight.add(flight.finished)
        try:
            yield
        except BaseException as error:
            self._end(flight, error)
            raise

    def _end(self, flight: Flight, error: BaseException | None = None) -> None:
        if flight.finished.done():
            return
        if error is None:
            flight.finished.set_result(None)
        else:
            flight.finished.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            flight.finished.exception()
        self._in_flight.discard(flight.finished)
        self._room.release()

    async def _write(self, flight: Flight, partition: int, written: Written) -> None:
        """Outputs first, then state, then the commit; the next runs may begin before the broker has answered."""
        producer = await self.maybe_start_producer()
        answers = [
            answer
            for (topic, at), outputs in written.outputs.items()
            for answer in await producer.send_all(topic, at, outputs)
        ]
        self._table.hold(flight, partition, written.state)
        before, self._last[partition] = self._last.get(partition), flight.finished
        task = asyncio.ensure_future(self._finish(flight, partition, before, written.state, answers))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def _finish(
        self,
        flight: Flight,
        partition: int,
        before: "asyncio.Future[None] | None",
        state: list[StateWrite],
        answers: list[Any],
    ) -> None:
        try:
            with self.metrics.write_seconds.time():
                await asyncio.gather(*answers)
                if before:
                    await before
                await self._write_state(flight, partition, state)
            for run in flight.runs:
                if run.position is not None:
                    run.position.done = max(run.position.done, run.ends)
                self._done += len(run.records)
                self.crashes.passed(run.tp.topic, run.tp.partition, run.ends - 1)
                self.metrics.delay_seconds.observe(max(0, self._clock() - run.records[0].timestamp) / 1000)
            self._end(flight)
        except BaseException as error:
            if isinstance(error, MessageSizeTooLargeError) and flight.runs:
                self.crashes.blame(*flight.spans)
            self._end(flight, error)
            if not isinstance(error, Exception):
                raise
            await self.crash(error)

    async def _write_state(self, flight: Flight, partition: int, state: list[StateWrite]) -> None:
        producer = await self.maybe_start_producer()
        outputs = [Output(write.key, write.value, write.headers) for write in state]
        answers = await producer.send_all(self.changelog, partition, outputs)
        answered = await asyncio.gather(*answers)
        # What another worker wrote before it was not read: were we cut off, it is what our successor knows.
        is_whole = bool(answered) and self.foreign.is_alone(TP(self.changelog, partition))
        # The first offset of the last batch: what recovery reads again is no newer than what is held.
        self._table.settle(flight, partition, state, answered[-1].offset if is_whole else None)

    @property
    def changelog(self) -> str:
        return str(self._table.changelog_topic.get_topic_name())

    # -- gaining and losing partitions

    async def begin(self, partitions: Iterable[int]) -> dict[int, PartitionState]:
        """Take an epoch for each partition, answered by the broker, before its first run.

        Whatever an earlier owner may still write has a lower version. Raises ConfigError for a policy that is older
        than the one in force.
        """
        begun: dict[int, PartitionState] = {}
        wanted = sorted(set(partitions))
        ends = await self.consumer.highwaters(*(TP(self._entities, each) for each in wanted))
        for partition in wanted:
            record = PolicyRecord.decode(self._table.reserved(partition, POLICY_KEY))
            record.admit(self.merging.revision)
            read, left = self._table.recovered(partition), self._table.ends(partition)
            highest = max(self._table.highest_version(partition), self._versions.get(partition, 0))
            was_released = self._table.is_released(partition)
            epoch = max(int(time.time()), (highest >> VERSION_BITS) + 1)
            written = await self._write_reserved(partition, {EPOCH_KEY: b"%d" % epoch})
            changelog, entities = TP(self.changelog, partition), TP(self._entities, partition)
            self.foreign.begin(changelog, written + 1, expected=1 + (left["changelog"] if left else read))
            self.foreign.begin(entities, ends[entities] or 0, expected=left["entities"] if left else None)
            state = PartitionState(self._table, partition, epoch << VERSION_BITS, is_doubtful=not was_released)
            state.learn(Outages.decode(self._table.reserved(partition, OUTAGES_KEY)))
            state.policy_record = record
            begun[partition] = state
        return begun

    async def _write_reserved(self, partition: int, values: dict[bytes, bytes]) -> int:
        """Write *values* by key in their order; return the offset of the last one, once the broker has answered."""
        producer = await self.maybe_start_producer()
        outputs = [Output(key, value) for key, value in values.items()]
        (answer,) = await producer.send_all(self.changelog, partition, outputs)
        first = (await answer).offset
        for key, value in values.items():
            self._table.note(partition, key, value)
        return int(first) + len(values) - 1

    def own(self, begun: dict[int, PartitionState], assigned: Iterable[TP]) -> None:
        """The partitions that :meth:`begin` prepared are ours, and no revocation came in between."""
        self.owned.update(begun)
        self.upkeep.doubt_foreign()
        self._recovery_began = None
        for tp in assigned:
            self.metrics.begin_partition(tp.topic, tp.partition)
        log.info("processor.partitions_begun", partitions=sorted(self.owned))

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        # No further run begins, those in flight end, then the group hears that we let go.
        self._letting_go = True
        self._recovery_began = time.monotonic()
        try:
            while self._in_flight:
                await asyncio.wait(self._in_flight)
            async with self._release_lock:
                await self._release()
                # A commit under way may have read `done` before the last run ended.
                await self.consumer.maybe_wait_for_commit_to_finish()
                await self.consumer.commit()
                for tp in self.consumer.positions:
                    self.metrics.lag.remove(tp.topic, str(tp.partition))
                    self.metrics.outage.labels(tp.topic.rpartition(".")[2]).set(0)
                await super()._on_partitions_revoked(revoked)
        finally:
            self._versions.update({partition: state.version for partition, state in self.owned.items()})
            self.foreign.forget(self.owned)
            self.owned.clear()
            self._letting_go = self._is_draining

    async def _release(self) -> None:
        """Tell the next owner that nothing of ours is published without being state. Unsaid, it doubts and repeats.

        To be called under the lock: a rebalance may meet the drain, and one at a time says where a partition ends.
        """
        if self.crashed:
            return
        self.upkeep.doubt_foreign()
        try:
            for partition, state in self.owned.items():
                await self._release_one(partition, state)
        except KafkaError as error:
            log.warning("processor.partition_not_released", partition=partition, reason=type(error).__name__)

    async def _release_one(self, partition: int, state: PartitionState) -> None:
        if state.is_being_rewritten:
            record = replace(state.policy_record, version=state.next_version())
            await self._write_reserved(partition, {POLICY_KEY: record.encode()})
        elif not (state.is_doubtful and self.consumer.is_behind(partition)):
            state.version = ((state.version >> VERSION_BITS) + 1) << VERSION_BITS
            released = b"%d" % (state.version >> VERSION_BITS) + RELEASED
            ends = {
                "version": state.version,
                "entities": self.foreign.end(TP(self._entities, partition)),
                # Behind the two records that are about to be written.
                "changelog": self.foreign.end(TP(self.changelog, partition)) + 2,
            }
            await self._write_reserved(partition, {ENDS_KEY: orjson.dumps(ends), EPOCH_KEY: released})
        # Otherwise what our predecessor left is not all replaced: the next owner must doubt as we did.
