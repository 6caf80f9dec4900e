"""Benchmark b: a worker whose disk is gone reads its state back, beside Faust as shipped."""

import statistics
from functools import partial

from tests.benchmarks.figures import Bench, Figure
from tests.benchmarks.processes import engine, new_prefix, stock_changelog, stock_topics
from tests.benchmarks.seeds import make_topics, seed

NAME = "recovery"
SMALL, LARGE = 310, 3_600
"""Bytes of a state."""
STOCK_SHARE = 10
"""Faust as shipped is too slow for the whole: its time is that of a share, times so many."""


def measure(bench: Bench) -> list[Figure]:
    many, few = bench.size(1_000_000, 20_000), bench.size(200_000, 4_000)
    small, large = _rates(bench, "mainstem", many, SMALL), _rates(bench, "mainstem", few, LARGE)
    stock = _rates(bench, "stock", many // STOCK_SHARE, SMALL)
    seconds, megabytes, times = many / small[0], large[1] / 1e6, small[0] / stock[0]
    share = many // STOCK_SHARE
    whole = f"{many:,} entities of {SMALL} bytes"
    told = f"{whole}; Faust: {many / stock[0]:,.0f} s, by {share:,} of them"
    figure = partial(Figure, benchmark=NAME)
    return [
        figure(name="small states", value=seconds, unit="s", most=15, note=whole),
        figure(name="large states", value=megabytes, unit="MB/s", least=50, note=f"{few:,} entities of {LARGE} bytes"),
        figure(name="beside Faust as shipped", value=times, unit="x", note=told),
    ]


def _rates(bench: Bench, name: str, keys: int, size: int) -> tuple[float, float]:
    """Return states and bytes per second."""
    bench.say(f"seeding {keys:,} states of {size} bytes")
    prefix = new_prefix()
    topics = make_topics(bench.bootstrap, prefix)
    if name == "stock":
        stock_topics(bench.bootstrap, prefix)
    written = seed(bench.bootstrap, stock_changelog(prefix) if name == "stock" else topics.changelog, keys, size=size)
    found = []
    for number in range(bench.repeats):
        bench.say(f"{name} recovers {keys:,} states of {size} bytes, {number + 1} of {bench.repeats}")
        found.append(engine(name, bench.bootstrap, prefix, 0)["rate"])
    rate = statistics.median(found)
    return rate, rate * written / keys
