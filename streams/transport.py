"""Faust's Kafka transport, in runs of records, with offsets and writes that can be trusted.

As shipped, Faust handles one message at a time, commits what it believes was acknowledged, and drops records at
rebalances. Here a consumer yields one message per fetched run of one partition and knows by itself what was taken
and what is done; a producer waits for every answer and writes nothing without a lease.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import structlog
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, ConsumerMessage

from schemas.errors import Fatal, MergeError
from streams.consumer_thread import LeasedConsumerThread

log = structlog.get_logger(__name__)

RUN_RECORDS: Final = 1_000
RUN_BYTES: Final = 4 * 1024 * 1024
LARGE_BYTES: Final = 256 * 1024
_GZIP: Final = 1  # Kafka's number of the codec


class Output(NamedTuple):
    """One record to be written. *timestamp* is epoch ms; None = now."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int | None = None


@dataclass(eq=False, slots=True)
class Position:
    """How far one assigned partition of a source topic is. Each is the offset of the next record."""

    fetched: int
    """To be fetched."""
    next: int
    """To be taken by the processor."""
    done: int
    """To be committed: all before it is written and answered by the broker."""
    seeks: int
    """Number of the last seek: what was fetched before it is stale."""
    known: int
    """The end at assignment: an earlier owner may have merged, and published, what lies before it."""


@dataclass(eq=False, slots=True)
class Run:
    """Consecutive records of one partition. *begins* may lie before the first record: a hole in the log itself."""

    tp: TP
    begins: int
    records: list[Any]
    seeks: int = 0
    position: Position | None = None

    @property
    def ends(self) -> int:
        return cast("int", self.records[-1].offset) + 1


class StrictProducer(driver.Producer):
    """acks=all and idempotent; whole batches; every answer is awaited by who sent."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        self.app.lease.guards(producer.client)
        return producer

    async def send_all(self, topic: str, partition: int, outputs: Iterable[Output]) -> list[asyncio.Future[Any]]:
        """Queue *outputs* in order; return one future of the broker's answer per batch of them."""
        now = int(time.time() * 1000)
        answers: list[asyncio.Future[Any]] = []
        batch, count = None, 0
        for output in outputs:
            if batch is None or not _append(batch, output, now):
                if batch is not None:
                    answers.append(await self._send(batch, count, TP(topic, partition)))
                batch, count = self._batch_for(output), 0
                if not _append(batch, output, now):
                    raise MergeError("a record does not fit into a batch of its own")
            count += 1
        if batch is not None:
            answers.append(await self._send(batch, count, TP(topic, partition)))
        return answers

    async def _send(self, batch: Any, count: int, tp: TP) -> asyncio.Future[Any]:
        self.app.foreign.sending(tp)
        try:
            answer: asyncio.Future[Any] = await self._producer.send_batch(batch, tp.topic, partition=tp.partition)
        except BaseException:
            self.app.foreign.unsent(tp)
            raise
        self.app.foreign.sent(tp, count, answer)
        return answer

    def _batch_for(self, output: Output) -> Any:
        """Return an empty batch. A large record has one of its own, compressed.

        A producer may have compressed what it sent below the topic's limit; its dead letter must fit as well.
        """
        if len(output.value or b"") < LARGE_BYTES:
            return self._producer.create_batch()
        return BatchBuilder(self.max_batch_size, _GZIP)


def _append(batch: Any, output: Output, now: int) -> bool:
    timestamp = now if output.timestamp is None else output.timestamp
    return (
        batch.append(timestamp=timestamp, key=output.key, value=output.value, headers=list(output.headers)) is not None
    )


class _ReadOffsets(dict[TP, int | None]):
    """Faust drops a message below the highest offset it has read. After a seek back that would be a loss."""

    def __init__(self, exempt: set[str]) -> None:
        super().__init__()
        self._exempt = exempt

    def __missing__(self, tp: TP) -> None:
        return None

    def __getitem__(self, tp: TP) -> int | None:
        return None if tp.topic in self._exempt else super().__getitem__(tp)


class RunConsumer(driver.Consumer):
    """A consumer that yields runs, and commits what was done rather than what Faust thinks was acknowledged."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.positions: dict[TP, Position] = {}
        self._numbers = itertools.count(1)
        self._sought: dict[TP, tuple[int, int]] = {}  # changelogs: number and offset of the last seek
        self._revocations = 0
        self._before_holes: set[TP] = set()
        self._fetch_was_whole = True
        self._read_offset = _ReadOffsets(self.app.run_topics)

    def _new_consumer_thread(self) -> LeasedConsumerThread:
        return LeasedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- fetching

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109
        """Yield one message per run of a source partition, and one per fetch of a changelog partition.

        What was fetched and is not yielded is fetched again: Faust leaves this generator whenever it likes.
        """
        if not self._fetch_was_whole:
            for tp in list(self.positions):
                await self.seek_again(tp)
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        self._fetch_was_whole = False
        generation, began = self.app.consumer_generation_id, next(self._numbers)
        stamps = {tp: position.seeks for tp, position in self.positions.items()}
        records, active = await self._wait_next_records(timeout)
        if records is None or self.should_stop:
            self._fetch_was_whole = records is None
            return
        left = dict(records)
        for tp, batch in records.items():
            if not self.flow_active or generation != self.app.consumer_generation_id:
                break
            if active is None or tp in active or tp in self._buffered_partitions:
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                for message in self._messages(tp, batch, generation, stamps.get(tp)):
                    yield tp, message
                if tp.topic not in self.app.run_topics or self._is_current(tp, stamps.get(tp)):
                    del left[tp]
        await self._put_back(left, began)
        self._fetch_was_whole = True

    def _messages(self, tp: TP, batch: list[Any], generation: int, stamp: int | None) -> Iterator[ConsumerMessage]:
        if tp.topic in self.app.run_topics:
            yield from (self._message(run, generation) for run in self._runs(tp, batch, stamp))
            return
        if tp.topic in self.app.run_tables:
            self.app.run_tables[tp.topic].recover(tp.partition, batch)
            self.app.metrics.recovered.inc(len(batch))
        yield self._to_message(tp, batch[-1])  # moves the offset that Faust keeps of a changelog

    def _runs(self, tp: TP, batch: list[Any], stamp: int | None) -> Iterator[Run]:
        for records in _bounded(batch, self._suspected(tp)):
            # Asked before every run: a seek may have come while the one before was handled.
            if not self._is_current(tp, stamp):
                return
            position = self.positions[tp]
            run = Run(tp, position.fetched, records, position.seeks)
            position.fetched = run.ends
            yield run

    def _suspected(self, tp: TP) -> range:
        """Offsets whose records are runs of their own: one of them may have ended the process before."""
        suspect = self.app.crashes.suspect(tp.topic, tp.partition)
        return range(0) if suspect is None else range(suspect.first, suspect.last + 1)

    def _is_current(self, tp: TP, stamp: int | None) -> bool:
        position = self.positions.get(tp)
        return position is not None and position.seeks == stamp

    def _message(self, run: Run, generation: int) -> ConsumerMessage:
        last = run.records[-1]
        return ConsumerMessage(
            topic=last.topic,
            partition=last.partition,
            offset=last.offset,
            timestamp=last.timestamp / 1000.0,
            timestamp_type=last.timestamp_type,
            headers=(),
            key=None,
            value=run,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=run.tp,
            generation_id=generation,
        )

    async def _put_back(self, records: dict[TP, list[Any]], began: int) -> None:
        """Have it fetched again. Reading a changelog twice does no harm, leaving records out does."""
        for tp, batch in records.items():
            if tp.topic in self.app.run_topics:
                await self.seek_again(tp)
            elif tp.topic in self.app.run_tables and tp in self.assignment():
                number, offset = self._sought.get(tp, (0, 0))
                await self._thread.seek_wait({tp: offset if number > began else batch[0].offset})

    # -- seeking

    async def seek_wait(self, partitions: dict[TP, int]) -> None:
        self._note_seek(partitions)
        await super().seek_wait(partitions)
        self._note_seek(partitions)

    def _note_seek(self, partitions: dict[TP, int]) -> None:
        self._sought.update({TP(*tp): (next(self._numbers), offset) for tp, offset in partitions.items()})

    async def seek_again(self, tp: TP) -> None:
        """Go back to what is next to be taken of *tp*."""
        position = self.positions.get(tp)
        if position is None:
            return
        position.fetched = position.next
        position.seeks = next(self._numbers)
        await self._thread.seek_wait({tp: position.next})
        # A fetch that began before the seek took effect is stale as well.
        position.seeks = next(self._numbers)

    async def perform_seek(self) -> None:
        """Begin the assigned partitions: the processor is told first, then each starts where it was committed."""
        revocations = self._revocations
        await super().perform_seek()
        assigned = [tp for tp in self.assignment() if tp.topic in self.app.run_topics]
        if not assigned:
            self.app.own({}, ())
            return
        begun = await self.app.begin({tp.partition for tp in assigned})
        committed = {tp: self._committed_offset[tp] for tp in assigned}
        earliest = {TP(*tp): offset for tp, offset in (await self.earliest_offsets(*assigned)).items()}
        end = {TP(*tp): offset for tp, offset in (await self.highwaters(*assigned)).items()}
        if revocations != self._revocations:
            self.app.foreign.forget(begun.keys() - self.app.owned.keys())
            return  # these partitions may be somebody else's by now; the next assignment seeks again
        self.app.own(begun, assigned)
        for tp in assigned:
            offset = self._start(tp, committed[tp], earliest[tp], end[tp])
            self.positions[tp] = Position(offset, offset, offset, next(self._numbers), end[tp])
        await self._thread.seek_wait({tp: self.positions[tp].next for tp in assigned if tp in self.positions})
        for tp in assigned:
            if tp in self.positions:
                self.positions[tp].seeks = next(self._numbers)

    def _start(self, tp: TP, committed: int | None, earliest: int, end: int) -> int:
        if committed is None:  # aiokafka's seek_to_committed leaves the never-committed where they are
            return earliest
        if committed > end:
            raise Fatal(
                f"{tp.topic}/{tp.partition}: the committed offset {committed} lies behind the end {end}: the topic was"
                " replaced. Reset the offsets of the processor's consumer group once you know what was lost."
            )
        if committed < earliest:
            log.error("processor.records_expired_unread", topic=tp.topic, partition=tp.partition, lost_from=committed,
                      lost_to=earliest - 1)  # fmt: skip
            self.app.metrics.expired_unread.labels(tp.topic, tp.partition).inc(earliest - committed)
            return earliest
        return committed

    # -- taking

    def take(self, run: Run) -> bool:
        """Cut *run* to the records that are next and move on behind it; False: it is stale, or follows a hole.

        Nothing is awaited here, when others may be taken already: a revocation must find those in flight.
        """
        position = self.positions.get(run.tp)
        if position is None or run.seeks != position.seeks or run.ends <= position.next:
            return False
        if run.begins > position.next:
            self._before_holes.add(run.tp)
            return False
        run.records = [record for record in run.records if record.offset >= position.next]
        run.position = position
        position.next = run.ends
        return True

    async def fill_holes(self) -> None:
        """Have it fetched again what runs that were not taken left out."""
        while self._before_holes:
            await self.seek_again(self._before_holes.pop())

    def is_behind(self, partition: int) -> bool:
        """Whether something that an earlier owner may have merged is not yet done."""
        return any(
            position.done < position.known for tp, position in self.positions.items() if tp.partition == partition
        )

    def is_replaying(self, run: Run) -> bool:
        """Whether *run*, or what is next of any topic's same partition, may have been merged by an earlier owner."""
        return (run.position is not None and run.records[0].offset < run.position.known) or any(
            position.next < position.known
            for tp, position in self.positions.items()
            if tp.partition == run.tp.partition
        )

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._revocations += 1
        await super().on_partitions_revoked(revoked)
        self._revocations += 1
        for tp in revoked:
            self.positions.pop(tp, None)

    # -- committing: never what Faust thinks was acknowledged

    def ack(self, message: Any) -> bool:
        if message.topic not in self.app.run_topics:
            return bool(super().ack(message))
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self.app.run_topics:
            await super()._add_gap(tp, offset_from, offset_to)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        yield from (tp for tp in list(self.positions) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.app.run_topics:
            return cast("int | None", super()._new_offset(tp))
        position = self.positions.get(tp)
        return position.done if position else None


def _bounded(batch: list[Any], alone: range) -> Iterator[list[Any]]:
    """Cut a fetch into runs of at most RUN_RECORDS records and about RUN_BYTES bytes, of one where in *alone*."""
    begin = size = 0
    for place, record in enumerate(batch):
        length = len(record.value or b"")
        is_full = place - begin >= RUN_RECORDS or size + length > RUN_BYTES
        if place > begin and (is_full or record.offset in alone or batch[place - 1].offset in alone):
            yield batch[begin:place]
            begin, size = place, 0
        size += length
    yield batch[begin:]


class RunTransport(driver.Transport):
    """The transport of an engine's app."""

    Consumer = RunConsumer
    Producer = StrictProducer
