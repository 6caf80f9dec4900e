"""Benchmark e: how large a worker is that holds a million entities, and whether it grows while changes come."""

from functools import partial

from tests.benchmarks.figures import Bench, Figure
from tests.benchmarks.growth import changes
from tests.benchmarks.load import publish
from tests.benchmarks.processes import engine, new_prefix
from tests.benchmarks.recovery import SMALL
from tests.benchmarks.seeds import make_topics, seed

NAME = "memory"


def measure(bench: Bench) -> list[Figure]:
    keys, count = bench.size(1_000_000, 20_000), bench.size(200_000, 8_000)
    prefix = new_prefix()
    topics = make_topics(bench.bootstrap, prefix)
    bench.say(f"seeding {keys:,} states")
    seed(bench.bootstrap, topics.changelog, keys, size=SMALL)
    publish(bench.bootstrap, prefix, changes(keys, count))
    bench.say(f"{count:,} changes over {keys:,} entities")
    found = engine("mainstem", bench.bootstrap, prefix, count)
    resident, cache = found["resident"], found["block_cache"]
    note = f"{keys:,} entities, {count:,} changes; {resident[-1]:,} MB with a block cache of {cache:,.0f} MB"
    quarters = f"after each quarter of the changes: {', '.join(f'{each:,}' for each in resident)} MB"
    figure = partial(Figure, benchmark=NAME, unit="MB")
    return [
        figure(name="resident beyond RocksDB's block cache", value=resident[-1] - cache, most=400, note=note),
        figure(name="resident after recovery", value=found["recovery_resident"], note=f"{keys:,} entities"),
        figure(name="grown while changes came", value=resident[-1] - resident[0], note=quarters),
    ]
