"""What a worker does beside its runs: deadlines that pass, policies that change, a look at how it is."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.errors import KafkaError

from schemas.codec import records_version
from schemas.errors import UnavailableError
from schemas.topics import OUTAGES_KEY
from streams.partition import PartitionState, Written
from streams.rollout import PolicyRecord, Walk
from streams.table import POLICY_KEY, RunTable, StateWrite

if TYPE_CHECKING:
    from streams.engine import Engine

log = structlog.get_logger(__name__)

DUE_KEYS: Final = 500
"""Keys merged anew in one go because a deadline passed."""
ROLLOUT_KEYS: Final = 100
"""Keys merged anew in one go because the policy changed: so long may a fresh change wait."""
ROLLOUT_REST: Final = 3.0
"""While changes wait, a rollout rests for as many times as it worked."""
FOREIGN_SECONDS: Final = 5.0
"""Between two looks for records that another worker wrote."""
RECOVERY_SECONDS: Final = 60.0
"""A recovery that reads nothing for so long has come to a stand."""


class Upkeep:
    """Tasks of one engine. None of them touches a source offset."""

    def __init__(self, engine: "Engine", table: RunTable) -> None:
        self._engine = engine
        self._table = table
        self._remaining = 0
        self._since = time.monotonic()

    def start(self) -> None:
        """Have the tasks run as long as the engine does."""
        for task in (self._sweep, self._roll_out, self._watch_writes):
            self._engine.task(task)

    # -- deadlines

    async def _sweep(self) -> None:
        """Every second, merge the keys of which a deadline passed."""
        while not self._engine.should_stop:
            await self._engine.sleep(1.0)
            for partition in list(self._engine.owned):
                while await self._sweep_once(partition):
                    pass

    async def _sweep_once(self, partition: int) -> bool:
        """Return whether there may be more to do at once."""
        keys: list[bytes] = []

        def act(state: PartitionState, now: int) -> Written:
            # One that is on its way to the broker may have a later deadline already.
            found = state.stored(self._table.due(partition, now, DUE_KEYS))
            keys.extend(key for key, stored in found if stored is not None and stored.deadline <= now)
            written = self._merge_anew(keys, state, now)
            self._engine.metrics.expiries.inc(len(written.state))
            return written

        return await self._engine.apply(partition, act) and len(keys) == DUE_KEYS

    def _merge_anew(self, keys: Iterable[bytes], state: PartitionState, now: int) -> Written:
        """Merge each of *keys* anew, but those on which the process ended again and again."""
        written, crashes = Written(), self._engine.key_crashes
        for key, stored in state.stored(keys):
            if stored is None:
                continue
            version = records_version(stored.value)
            if crashes.is_guilty(state.partition, key, version):
                self._leave(state.partition, key)
                continue
            with crashes.watching(state.partition, key, version):
                written.take(self._engine.merging.merge_anew((key,), state, now))
        return written

    def _leave(self, partition: int, key: bytes) -> None:
        if self._engine.key_crashes.tell_once(partition, key):
            log.error("processor.key_left_as_it_is", partition=partition, key=key.decode(errors="replace"))
            self._engine.metrics.quarantined.labels(self._engine.changelog, partition).inc()

    # -- policy

    async def _roll_out(self) -> None:
        """Bring a policy that changed to every entity, while fresh changes come first."""
        while not self._engine.should_stop:
            began, walked = time.monotonic(), False
            for partition, state in list(self._engine.owned.items()):
                walked |= await self._walk(partition, state)
            walks = sum(state.walk is not None for state in self._engine.owned.values())
            self._engine.metrics.rollout_remaining.set(walks)
            if not walked:
                await self._engine.sleep(0.5)
            elif self._engine.lag:
                await self._engine.sleep(ROLLOUT_REST * (time.monotonic() - began))

    async def _walk(self, partition: int, state: PartitionState) -> bool:
        """Take one step through a partition; return whether there was one to take."""
        merging, record = self._engine.merging, state.policy_record
        target = merging.fingerprint(state)
        if record.fingerprint == target:
            state.walk = None
            return record.revision < merging.revision and await self._note(partition, target)
        walk = state.walk
        if walk is None or walk.target != target:
            log.info("processor.rollout_started", partition=partition)
            state.walk = Walk(target)
            # Whoever owns the partition next must see that its entities are of more than one policy.
            return await self._note(partition, "")
        keys = self._table.keys_after(partition, walk.last, ROLLOUT_KEYS)
        if not keys:
            log.info("processor.rollout_ended", partition=partition)
            return await self._note(partition, target)
        walked = await self._engine.apply(partition, lambda state, now: self._merge_anew(keys, state, now))
        walk.last = keys[-1] if walked else walk.last
        return walked

    async def _note(self, partition: int, fingerprint: str) -> bool:
        """Write the partition's policy record, behind all that is on its way; what is known of outages beside it."""

        def act(state: PartitionState, _: int) -> Written:
            revision = max(self._engine.merging.revision, state.policy_record.revision)
            record = PolicyRecord(version=state.next_version(), fingerprint=fingerprint, revision=revision)
            state.policy_record = record
            written = Written(state=[StateWrite(POLICY_KEY, record.encode(), record.version)])
            if state.outages.words:
                version = state.next_version()
                written.state.append(StateWrite(OUTAGES_KEY, state.outages.encode(version), version))
            return written

        return await self._engine.apply(partition, act)

    # -- other writers

    async def _watch_writes(self) -> None:
        while not self._engine.should_stop:
            await self._engine.sleep(FOREIGN_SECONDS)
            if not self._engine.rebalancing:
                await self.look_for_foreign()

    async def look_for_foreign(self) -> None:
        """Have all of a partition written anew where somebody else wrote: what of it is ours is not known."""
        foreign = self._engine.foreign
        calm = foreign.calm()
        if calm:
            try:
                foreign.compare(calm, await self._engine.consumer.highwaters(*calm))
            except KafkaError as error:
                log.warning("processor.foreign_not_looked_for", reason=type(error).__name__)
        self.doubt_foreign()

    def doubt_foreign(self) -> None:
        """Act on what was found, and ask nobody."""
        for partition in self._engine.foreign.take(self._engine.owned):
            log.error("processor.foreign_writes", partition=partition)
            self._engine.metrics.foreign_writes.inc()
            self._engine.owned[partition].doubt_all()

    # -- looks

    def look(self) -> None:
        """Set the gauges. Raises UnavailableError when recovery stands still; the next start reads from the beginning.

        To be called several times a second, from the start on: Faust begins its tasks after recovery alone.
        """
        self._engine.observe()
        recovery = self._engine.tables.recovery
        remaining = recovery.active_remaining_total() if self._engine.in_recovery else 0
        now = time.monotonic()
        if remaining <= 0 or remaining != self._remaining:
            self._remaining, self._since = remaining, now
        elif now - self._since > RECOVERY_SECONDS:
            partitions = sorted({tp.partition for tp in recovery.active_tps})
            self._engine.distrust.note(partitions)
            raise UnavailableError(
                f"recovery has read nothing for {RECOVERY_SECONDS:.0f} s, {remaining} records of the changelog ahead:"
                f" the local store of partitions {partitions} is removed at the next start"
            )
