"""The processor's table: a Faust table whose RocksDB holds only what the broker has acknowledged.

Beside the states lies a time-ordered index of their deadlines. It is derived data, never in the changelog: there, the
deadline of a state stands in a header, so that recovery makes the index without decoding a state.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import faust
import orjson
import rocksdict
from faust.stores.rocksdb import RocksDBOptions

from schemas.codec import records_version
from schemas.records import NEVER, VERSION_BITS
from schemas.topics import RESERVED_PREFIX

EPOCH_KEY: Final = RESERVED_PREFIX + b"epoch"
"""Reserved key of the changelog: the highest epoch taken for the partition, as decimal text.

An owner takes one before its first run. One that lets go with nothing under way takes another and writes RELEASED
behind it: all that was published of the partition is state as well.
"""
RELEASED: Final = b" released"
ENDS_KEY: Final = RESERVED_PREFIX + b"ends"
"""Reserved key: JSON of `version`, and of the offsets behind the last records that an owner that lets go wrote:
`entities` in the entities topic, `changelog` in the changelog, behind the released epoch with which it is valid."""
POLICY_KEY: Final = RESERVED_PREFIX + b"policy"
"""Reserved key: JSON of `version`, the `fingerprint` of the policy that every entity was merged under (empty while
another one is on its way to them), and the highest `revision` of a policy."""
VERSION_HEADER: Final = "version"
DEADLINE_HEADER: Final = "deadline"
"""Of a state in the changelog: epoch ms, empty when there is none. Where it is absent, the state is due at once."""

WRITE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Of one partition; several are held at a time. Faust's 64 MiB, times three, times partitions, is memory that grows."""

FILTER_BITS: Final = 10
"""Per key. One in a hundred files without the key is read in vain; with Faust's three bits, one in four."""

COMPACTED_FILES: Final = 16
"""New files of a partition that are merged into its old ones at a time. All of the old ones are written anew for it:
with RocksDB's four, a large partition is rewritten for every 16 MiB of states. A read asks the filter of each."""
SLOWED_FILES: Final = 40
STOPPED_FILES: Final = 60
"""New files at which writing is slowed down, and waits, until they are merged."""

FORGOTTEN_KEYS: Final = 100_000
"""Whose versions are remembered while the changelog is read: an older state behind them does not bring them back."""

_HIGHEST: Final = RESERVED_PREFIX + b"highest"  # of this store alone: the highest version it ever held
_DUE: Final = RESERVED_PREFIX + b"due"
_MOMENT: Final = struct.Struct(">Q")
_NO_MOMENT: Final = 2**63
_FIRST_KEY: Final = b"\x01"


class Stored(NamedTuple):
    """The state of a key, and when it has to be merged anew by itself (epoch ms, NEVER)."""

    value: bytes
    deadline: float


class StateWrite(NamedTuple):
    """The new state of one key, its version, and the deadline before and after. A null value forgets the key."""

    key: bytes
    value: bytes | None
    version: int
    deadline_before: float = NEVER
    deadline_after: float = NEVER

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """Those of its changelog record."""
        if self.value is None:
            return ((VERSION_HEADER, b"%d" % self.version),)
        return ((DEADLINE_HEADER, b"" if self.deadline_after == NEVER else b"%d" % self.deadline_after),)


class _StoreOptions(RocksDBOptions):
    """Faust passes on few of RocksDB's settings."""

    def as_options(self) -> Any:
        options = super().as_options()
        options.set_compression_type(rocksdict.DBCompressionType.lz4())
        options.set_level_zero_file_num_compaction_trigger(COMPACTED_FILES)
        options.set_level_zero_slowdown_writes_trigger(SLOWED_FILES)
        options.set_level_zero_stop_writes_trigger(STOPPED_FILES)
        return options


class RunTable(faust.Table):
    """Raw bytes by partition and key, written a run at a time.

    In RocksDB a state stands behind eight bytes of its deadline; reserved keys have none.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        options = {"write_buffer_size": WRITE_BUFFER_BYTES, "bloom_filter_size": FILTER_BITS}
        super().__init__(*args, options=options, **kwargs)
        self._unanswered: dict[tuple[int, bytes], tuple[object, Stored | None]] = {}
        self._forgotten: dict[tuple[int, bytes], int] = {}
        self._read: dict[int, int] = {}

    def _new_store(self) -> Any:
        store: Any = super()._new_store()
        store.rocksdb_options = _StoreOptions(**self.options, use_rocksdict=True)
        return store

    def stored(self, partition: int, keys: Sequence[bytes]) -> list[Stored | None]:
        """Return the states of *keys*, in their order, as they will be once all that is on its way is written."""
        held = [self._unanswered.get((partition, key)) for key in keys]
        # Asked for all at once, RocksDB takes half the time.
        local = iter(self._db(partition).get([key for key, found in zip(keys, held, strict=True) if found is None]))
        return [_stored(next(local)) if found is None else found[1] for found in held]

    def reserved(self, partition: int, key: bytes) -> bytes | None:
        """Return the value of one of the processor's own keys as the broker has it."""
        value: bytes | None = self._db(partition).get(key)
        return value

    def hold(self, run: object, partition: int, writes: Iterable[StateWrite]) -> None:
        """Let *writes* be seen by the next runs while the broker has not answered for them."""
        for write in writes:
            state = None if write.value is None else Stored(write.value, write.deadline_after)
            self._unanswered[partition, write.key] = (run, state)

    def settle(self, run: object, partition: int, writes: list[StateWrite], offset: int | None) -> None:
        """Write to RocksDB what the broker has answered.

        *offset*: one of the changelog up to which everything is held, so that recovery need not read it again.
        """
        batch = rocksdict.WriteBatch(raw_mode=True)
        for write in writes:
            _put(batch, write)
        if writes:
            batch.put(_HIGHEST, b"%d" % writes[-1].version)
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

    def keys_after(self, partition: int, key: bytes, limit: int) -> list[bytes]:
        """Return up to *limit* keys of states behind *key* (empty: from the first on), in order."""
        keys: list[bytes] = []
        for found in self._db(partition).keys(from_key=key + b"\0" if key else _FIRST_KEY):
            if len(keys) >= limit:
                break
            if found != self.data.offset_key:
                keys.append(found)
        return keys

    # -- recovery

    def recover(self, partition: int, records: list[Any]) -> None:
        """Write fetched changelog records: of each key the highest version, not the last one.

        A worker that lost its partitions and did not know may have written last; its versions are lower.
        """
        newest: dict[bytes, StateWrite] = {}
        for record in records:
            write = _write_of(record)
            known = newest.get(write.key)
            if known is None or write.version > known.version:
                newest[write.key] = write
        batch, highest = rocksdict.WriteBatch(raw_mode=True), self.highest_version(partition)
        for write, local in zip(newest.values(), self._db(partition).get(list(newest)), strict=True):
            if write.version > self._version_held(partition, write.key, local):
                before = NEVER if local is None or _is_reserved(write.key) else _state_of(local).deadline
                _put(batch, write._replace(deadline_before=before))
                highest = max(highest, write.version)
                if write.value is None:
                    self._forget(partition, write.key, write.version)
        batch.put(_HIGHEST, b"%d" % highest)
        self._db(partition).write(batch)
        self._read[partition] = max(self._read.get(partition, 0), records[-1].offset + 1)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Faust calls this after the records were written as they were fetched: only the offset is left."""
        for event in batch:
            self.data.set_persisted_offset(event.message.tp, event.message.offset)

    def highest_version(self, partition: int) -> int:
        """Return the highest version that the partition has ever held."""
        db = self._db(partition)
        return max(_epoch_of(db.get(EPOCH_KEY)) << VERSION_BITS, int(db.get(_HIGHEST) or 0))

    def recovered(self, partition: int) -> int:
        """The changelog was read to its end: return it. Which keys it forgot meanwhile is no longer needed."""
        self._forgotten = {held: version for held, version in self._forgotten.items() if held[0] != partition}
        return max(self._read.get(partition, 0), int(self._db(partition).get(self.data.offset_key) or -1) + 1)

    def ends(self, partition: int) -> dict[str, int] | None:
        """Return the last owner's ends, by ENDS_KEY; None unless it let go of the partition and said them."""
        epoch, ends = self.reserved(partition, EPOCH_KEY), self.reserved(partition, ENDS_KEY)
        if epoch is None or ends is None or not epoch.endswith(RELEASED):
            return None
        found: dict[str, int] = orjson.loads(ends)
        return found if found["version"] >> VERSION_BITS == _epoch_of(epoch) else None

    def is_released(self, partition: int) -> bool:
        """Whether the last owner let go of the partition with nothing under way, or there was none."""
        value = self.reserved(partition, EPOCH_KEY)
        return value is None or value.endswith(RELEASED)

    def note(self, partition: int, key: bytes, value: bytes) -> None:
        """Keep the value of a reserved key that the broker has answered for."""
        self._db(partition).put(key, value)

    def _forget(self, partition: int, key: bytes, version: int) -> None:
        self._forgotten[partition, key] = version
        if len(self._forgotten) > FORGOTTEN_KEYS:  # a copy that stands by reads for as long as it lives
            del self._forgotten[next(iter(self._forgotten))]

    def _version_held(self, partition: int, key: bytes, local: bytes | None) -> int:
        if local is None:
            return self._forgotten.get((partition, key), -1)
        return _version_of(key, local if _is_reserved(key) else _state_of(local).value)

    def _db(self, partition: int) -> Any:
        return self.data._db_for_partition(partition)  # noqa: SLF001 - the store has no public way to a partition


def _put(batch: Any, write: StateWrite) -> None:
    if write.deadline_before != NEVER:
        batch.delete(_due_key(write.deadline_before, write.key))
    if write.value is None:
        batch.delete(write.key)
    elif _is_reserved(write.key):
        batch.put(write.key, write.value)
    else:
        batch.put(write.key, _moment(write.deadline_after) + write.value)
        if write.deadline_after != NEVER:
            batch.put(_due_key(write.deadline_after, write.key), b"")


def _write_of(record: Any) -> StateWrite:
    """Return what a record of the changelog says about its key."""
    headers = dict(record.headers)
    if record.value is None:
        return StateWrite(record.key, None, int(headers.get(VERSION_HEADER, 0)))
    if _is_reserved(record.key):
        return StateWrite(record.key, record.value, _version_of(record.key, record.value))
    deadline = headers.get(DEADLINE_HEADER)
    moment = 0.0 if deadline is None else float(deadline) if deadline else NEVER
    return StateWrite(record.key, record.value, records_version(record.value), NEVER, moment)


def _version_of(key: bytes, value: bytes) -> int:
    if key == EPOCH_KEY:
        return _epoch_of(value) << VERSION_BITS
    return int(orjson.loads(value)["version"]) if _is_reserved(key) else records_version(value)


def _is_reserved(key: bytes) -> bool:
    return key.startswith(RESERVED_PREFIX)


def _epoch_of(value: bytes | None) -> int:
    return int(value.removesuffix(RELEASED)) if value else 0


def _stored(local: bytes | None) -> Stored | None:
    return None if local is None else _state_of(local)


def _state_of(local: bytes) -> Stored:
    (moment,) = _MOMENT.unpack_from(local)
    return Stored(local[_MOMENT.size :], NEVER if moment == _NO_MOMENT else moment)


def _moment(deadline: float) -> bytes:
    return _MOMENT.pack(_NO_MOMENT if deadline == NEVER else max(0, int(deadline)))


def _due_key(moment: float, key: bytes) -> bytes:
    return _DUE + _moment(moment) + key


def _due_entry(entry: bytes) -> tuple[int, bytes]:
    begin = len(_DUE)
    (moment,) = _MOMENT.unpack_from(entry, begin)
    return moment, entry[begin + _MOMENT.size :]
