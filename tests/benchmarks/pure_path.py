"""What a change costs between Kafka and Kafka: decode, validate, hash, hold, merge, encode; nothing is sent or stored.

usage: python -m tests.benchmarks.pure_path [--changes N] [--repeats N] [--profile FILE]

`changed`: the load of the other benchmarks. `unchanged`: each connector says the same again, later. Figures are
microseconds of CPU per change, the least of the repeats; the digest stands for every byte that was to be written.
"""

import argparse
import cProfile
import gc
import hashlib
import pstats
import time
from collections.abc import Callable, Iterable
from itertools import count

from faust.types.tuples import TP
from prometheus_client.registry import CollectorRegistry

from schemas.changes import Origin, read_change
from schemas.codec import decode_change, decode_records, encode_records
from schemas.metrics import ProcessorMetrics
from schemas.topics import Topics
from streams.intake import Intake, Tally, partition_of
from streams.merge import merge
from streams.partition import PartitionState
from streams.processor import Processor
from streams.transport import Run
from streams.worker import GC_THRESHOLDS
from tests.benchmarks.load import CONNECTORS, PARTITIONS, POLICY, changes
from tests.properties.harness import Arriving, MemoryTable

RUN_RECORDS = 600
NOW = 1_700_000_000_000
TOPICS = Topics(prefix="b", partitions=PARTITIONS, replication_factor=1)
OFFSETS = count()


def runs(said: Iterable[tuple[str, bytes, bytes]]) -> list[Run]:
    """Return *said* as a consumer fetches it: runs of one topic's partition, in order."""
    waiting: dict[TP, list[Arriving]] = {}
    found = []
    for connector, key, value in said:
        offset = next(OFFSETS)
        tp = TP(TOPICS.changes(connector), partition_of(key, PARTITIONS))
        records = waiting.setdefault(tp, [])
        records.append(Arriving(*tp, offset, NOW + offset, key, value, ()))
        if len(records) == RUN_RECORDS:
            found.append(waiting.pop(tp))
    found += waiting.values()
    return [Run(TP(each[0].topic, each[0].partition), each[0].offset, each) for each in found]


class Subject:
    """A processor over states in memory."""

    def __init__(self) -> None:
        self._processor = Processor(TOPICS, POLICY, ProcessorMetrics(CollectorRegistry()))
        self.table = MemoryTable()
        self._states = [PartitionState(self.table, partition, 1 << 51) for partition in range(PARTITIONS)]
        self._digest = hashlib.blake2b(digest_size=8)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def take(self, every: list[Run]) -> float:
        """Return the CPU seconds that the processor took for *every* run."""
        seconds = 0.0
        for run in every:
            begun = time.process_time()
            written = self._processor.run([run], self._states[run.tp.partition], run.records[-1].timestamp)
            seconds += time.process_time() - begun
            for (topic, partition), outputs in sorted(written.outputs.items()):
                self._digest.update(repr((topic, partition, outputs)).encode())
            for write in written.state:
                self._digest.update(repr(write).encode())
                self.table.keep(run.tp.partition, write)
        return seconds


def least(repeats: int, once: Callable[[], object]) -> float:
    figures = []
    for _ in range(repeats):
        begun = time.process_time()
        once()
        figures.append(time.process_time() - begun)
    return min(figures)


def stages(subject: Subject, every: list[Run], repeats: int) -> None:
    """Print what the single steps cost, each alone over the same changes."""
    records = [record for run in every for record in run.records]
    documents = [decode_change(record.value) for record in records]
    origin = Origin(connector=CONNECTORS[0], tenant="default", is_complete=False, timestamp=NOW, id="t/0/0")
    intake = Intake(TOPICS, POLICY)
    held = [stored.value for stored in subject.table.states.values()]
    decoded = list(map(decode_records, held))
    bodied = [list(each.by_connector.values()) for each in decoded]
    for of in bodied:
        for record in of:
            assert record.body
    steps: dict[str, tuple[int, Callable[[], object]]] = {
        "decode the change": (len(records), lambda: [decode_change(record.value) for record in records]),
        "validate and hash": (len(records), lambda: [read_change(document, origin) for document in documents]),
        "all of the intake": (len(records), lambda: [intake.read(run, Tally(), {}) for run in every]),
        "decode the state": (len(held), lambda: list(map(decode_records, held))),
        "encode the state": (len(held), lambda: list(map(encode_records, decoded))),
        "merge": (len(held), lambda: [merge(of, POLICY, now=NOW) for of in bodied]),
    }
    for name, (number, once) in steps.items():
        print(f"  {name:20} {least(repeats, once) / number * 1e6:6.1f} µs each")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, default=16_000)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--profile")
    options = parser.parse_args()
    subject = Subject()
    said = list(changes((options.repeats + 2) * options.changes))
    subject.take(runs(said[: 2 * options.changes]))
    gc.collect()
    gc.set_threshold(*GC_THRESHOLDS)
    profile = cProfile.Profile()
    figures: dict[str, list[float]] = {"changed": [], "unchanged": []}
    for at in range(2, options.repeats + 2):
        part = said[at * options.changes : (at + 1) * options.changes]
        again = list(
            {
                (connector, key): (connector, key, value)
                for connector, key, value in said[: (at + 1) * options.changes]
            }.values()
        )
        for name, of in (("changed", part), ("unchanged", again)):
            every = runs(of)
            if options.profile == name:
                profile.enable()
            figures[name].append(subject.take(every) / len(of) * 1e6)
            profile.disable()
    for name, each in figures.items():
        print(f"{name:10} {min(each):6.1f} µs a change   (of {' '.join(f'{one:.0f}' for one in each)})")
    print(f"digest {subject.digest}")
    stages(subject, every, options.repeats)
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
