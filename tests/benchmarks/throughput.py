"""Benchmark a: the same changes through the processor, a hand-written loop, and Faust as shipped."""

import os
import statistics
import tempfile
from pathlib import Path

from tests.benchmarks.figures import Bench, Figure
from tests.benchmarks.load import CONNECTORS, KEYS, publish, repeated
from tests.benchmarks.processes import Group, engine, new_prefix, stock_topics

NAME = "engines"
UNITS = ("wall", "cpu")
STOCK_SHARE = 6
"""Faust as shipped is too slow for the whole."""


def measure(bench: Bench) -> list[Figure]:
    count = bench.size(120_000, 12_000)
    rates: dict[str, list[dict[str, float]]] = {}
    for number in range(bench.repeats):
        for name in ("mainstem", "confluent", "stock", "resync", "workers"):
            bench.say(f"{name}, {number + 1} of {bench.repeats}")
            rates.setdefault(name, []).append(_rates(bench.bootstrap, name, count))
    median = {
        name: {unit: statistics.median(each[unit] for each in found) for unit in UNITS if unit in found[0]}
        for name, found in rates.items()
    }
    return [*_ratios(median), *_absolutes(median, count)]


def _rates(bootstrap: str, name: str, count: int) -> dict[str, float]:
    """Return changes per second of wall and of CPU time."""
    prefix = new_prefix()
    if name == "resync":
        first = KEYS * len(CONNECTORS)
        publish(bootstrap, prefix, repeated(first + count))
        return engine("mainstem", bootstrap, prefix, first + count, skip=first)
    if name == "workers":
        publish(bootstrap, prefix, count)
        with tempfile.TemporaryDirectory(prefix="mst-bench-") as home:
            return {"wall": Group(bootstrap, prefix, Path(home), os.cpu_count() or 2).rate(count)}
    share = count // STOCK_SHARE if name == "stock" else count
    publish(bootstrap, prefix, share)
    if name == "stock":
        stock_topics(bootstrap, prefix)
    return engine(name, bootstrap, prefix, share)


def _ratios(median: dict[str, dict[str, float]]) -> list[Figure]:
    loop, one = median["confluent"], median["mainstem"]
    rows = (
        ("beside a pipelined confluent-kafka loop, per CPU second", one["cpu"] / loop["cpu"], 0.8),
        ("beside that loop, wall, with as many workers as cores", median["workers"]["wall"] / loop["wall"], 1.0),
        ("beside that loop, wall, one worker", one["wall"] / loop["wall"], None),
        ("beside Faust as shipped, per CPU second", one["cpu"] / median["stock"]["cpu"], 5.0),
        ("a resync of unchanged entities beside changes, per CPU second", median["resync"]["cpu"] / one["cpu"], 2.0),
    )
    return [Figure(benchmark=NAME, name=name, value=value, unit="x", least=least) for name, value, least in rows]


def _absolutes(median: dict[str, dict[str, float]], count: int) -> list[Figure]:
    note = f"{count:,} changes of 1.2 kB, {len(CONNECTORS)} connectors, {KEYS:,} keys"
    return [
        Figure(benchmark=NAME, name=f"{name}, {unit}", value=value, unit="changes/s", note=note)
        for name, found in median.items()
        for unit, value in found.items()
    ]
