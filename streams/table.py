"""The processor's table: a Faust table whose RocksDB holds only what the broker has acknowledged.

Beside the records lies a time-ordered index of deadlines. It is derived data, never in the changelog.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import faust
import rocksdict

from schemas.codec import records_version
from schemas.records import NEVER
from schemas.topics import RESERVED_PREFIX

EPOCH_KEY: Final = RESERVED_PREFIX + b"epoch"
"""Reserved key of the changelog: the highest epoch taken for the partition, as decimal text.

An owner takes one before its first run. One that lets go with nothing under way takes another and writes RELEASED
behind it: all that was published of the partition is state as well.
"""
RELEASED: Final = b" released"
VERSION_BITS: Final = 20
"""A version is `epoch << 20 | counter`; a full counter carries into the epoch."""
VERSION_HEADER: Final = "version"

WRITE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Of one partition; several are held at a time. Faust's 64 MiB, times three, times partitions, is memory that grows."""

_DUE: Final = RESERVED_PREFIX + b"due"
_MOMENT: Final = struct.Struct(">Q")
_FIRST_KEY: Final = b"\x01"


class StateWrite(NamedTuple):
    """The new state of one key, its version, and the deadline before and after. A null value forgets the key."""

    key: bytes
    value: bytes | None
    version: int
    deadline_before: float
    deadline_after: float


class RunTable(faust.Table):
    """Raw bytes by partition and key, written a run at a time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, options={"write_buffer_size": WRITE_BUFFER_BYTES}, **kwargs)
        self._unanswered: dict[tuple[int, bytes], tuple[object, bytes | None]] = {}
        self._indexed: set[int] = set()
        self._forgotten: dict[tuple[int, bytes], int] = {}

    def get_bytes(self, partition: int, key: bytes) -> bytes | None:
        """Return the state of *key* as it will be once all that is on its way is written."""
        held = self._unanswered.get((partition, key))
        if held is not None:
            return held[1]
        value: bytes | None = self._db(partition).get(key)
        return value

    def hold(self, run: object, partition: int, writes: Iterable[StateWrite]) -> None:
        """Let *writes* be seen by the next runs while the broker has not answered for them."""
        self._unanswered.update({(partition, write.key): (run, write.value) for write in writes})

    def settle(self, run: object, partition: int, writes: list[StateWrite], offset: int | None) -> None:
        """Write to RocksDB what the broker has answered; *offset* is that of its last changelog record."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for write in writes:
            if write.deadline_before != NEVER:
                batch.delete(_due_key(write.deadline_before, write.key))
            if write.value is None:
                batch.delete(write.key)
            else:
                batch.put(write.key, write.value)
                if write.deadline_after != NEVER:
                    batch.put(_due_key(write.deadline_after, write.key), b"")
        if offset is not None:
            batch.put(self.data.offset_key, b"%d" % offset)
        self._db(partition).write(batch)
        for write in writes:
            held = self._unanswered.get((partition, write.key))
            if held is not None and held[0] is run:
                del self._unanswered[partition, write.key]

    def due(self, partition: int, now: float, limit: int) -> list[bytes]:
        """Return up to *limit* keys whose deadline is not later than *now* (epoch ms), earliest first."""
        keys: list[bytes] = []
        for entry in self._db(partition).keys(from_key=_DUE):
            if not entry.startswith(_DUE) or len(keys) >= limit:
                break
            moment, key = _due_entry(entry)
            if moment > now:
                break
            keys.append(key)
        return keys

    # -- recovery

    def recover(self, partition: int, records: list[Any]) -> None:
        """Write fetched changelog records: of each key the highest version, not the last one.

        A worker that lost its partitions and did not know may have written last; its versions are lower.
        """
        db, newest = self._db(partition), dict[bytes, tuple[int, bytes | None]]()
        for record in records:
            version = _version_of(record)
            held = newest[record.key][0] if record.key in newest else self._version_held(partition, record.key)
            if version > held:
                newest[record.key] = (version, record.value)
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, (version, value) in newest.items():
            if value is None:
                self._forgotten[partition, key] = version
                batch.delete(key)
            else:
                batch.put(key, value)
        if newest:
            db.write(batch)
            self._indexed.discard(partition)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Faust calls this after the records were written as they were fetched: only the offset is left."""
        for event in batch:
            self.data.set_persisted_offset(event.message.tp, event.message.offset)

    def begin(self, partition: int, inspect: Callable[[bytes], tuple[int, float]]) -> int:
        """Return the highest version of the partition, after recovery and before its first run.

        Makes the index of deadlines anew where recovery wrote: *inspect* returns (version, deadline in epoch ms) of
        a state.
        """
        self._forgotten = {held: version for held, version in self._forgotten.items() if held[0] != partition}
        db = self._db(partition)
        highest = _epoch_of(db.get(EPOCH_KEY)) << VERSION_BITS
        if partition in self._indexed:
            return highest
        db.delete_range(_DUE, _DUE + b"\xff" * _MOMENT.size)
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in db.items(from_key=_FIRST_KEY):
            if key != self.data.offset_key:
                version, deadline = inspect(value)
                highest = max(highest, version)
                if deadline != NEVER:
                    batch.put(_due_key(deadline, key), b"")
        db.write(batch)
        self._indexed.add(partition)
        return highest

    def is_released(self, partition: int) -> bool:
        """Whether the last owner let go of the partition with nothing under way, or there was none."""
        value = self._db(partition).get(EPOCH_KEY)
        return value is None or bool(value.endswith(RELEASED))

    def note_epoch(self, partition: int, value: bytes) -> None:
        """Keep the value of EPOCH_KEY that the broker has answered for."""
        self._db(partition).put(EPOCH_KEY, value)

    def _version_held(self, partition: int, key: bytes) -> int:
        value = self._db(partition).get(key)
        if value is None:
            return self._forgotten.get((partition, key), -1)
        return _epoch_of(value) << VERSION_BITS if key == EPOCH_KEY else records_version(value)

    def _db(self, partition: int) -> Any:
        return self.data._db_for_partition(partition)  # noqa: SLF001 - the store has no public way to a partition


def _version_of(record: Any) -> int:
    if record.key == EPOCH_KEY:
        return _epoch_of(record.value) << VERSION_BITS
    if record.value is None:
        return int(dict(record.headers).get(VERSION_HEADER, 0))
    return records_version(record.value)


def _epoch_of(value: bytes | None) -> int:
    return int(value.removesuffix(RELEASED)) if value else 0


def _due_key(moment: float, key: bytes) -> bytes:
    return _DUE + _MOMENT.pack(max(0, int(moment))) + key


def _due_entry(entry: bytes) -> tuple[int, bytes]:
    begin = len(_DUE)
    (moment,) = _MOMENT.unpack_from(entry, begin)
    return moment, entry[begin + _MOMENT.size :]
