"""Benchmark f: what a change costs when the processor holds few entities, and when it holds many."""

import itertools
import json
import random
import statistics
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.figures import Bench, Figure
from tests.benchmarks.load import publish
from tests.benchmarks.processes import engine, new_prefix
from tests.benchmarks.seeds import CONNECTOR, key_of, make_topics, name_of, seed

NAME = "growth"
SIZE = 1_200
"""Bytes of a state and of a change."""
NEIGHBOURS = 8_000
"""A run of each partition."""


def measure(bench: Bench) -> list[Figure]:
    few, many, count = bench.size(10_000, 1_000), bench.size(1_000_000, 20_000), bench.size(60_000, 10_000)
    rates: dict[int, list[float]] = {few: [], many: []}
    for number in range(bench.repeats):
        for keys, found in rates.items():
            bench.say(f"{count:,} changes over {keys:,} entities, {number + 1} of {bench.repeats}")
            found.append(_rate(bench.bootstrap, keys, count))
    median = {keys: statistics.median(found) for keys, found in rates.items()}
    falls = 100 * (1 - median[many] / median[few])
    note = f"{count:,} changes of {SIZE:,} bytes"
    figure = partial(Figure, benchmark=NAME, note=note)
    name = f"less per CPU second at {many:,} entities than at {few:,}"
    return [
        figure(name=name, value=falls, unit="%", most=20),
        *(figure(name=f"at {keys:,} entities", value=value, unit="per CPU s") for keys, value in median.items()),
    ]


def _rate(bootstrap: str, keys: int, count: int) -> float:
    prefix = new_prefix()
    topics = make_topics(bootstrap, prefix)
    seed(bootstrap, topics.changelog, keys, size=SIZE)
    publish(bootstrap, prefix, changes(keys, count))
    return float(engine("mainstem", bootstrap, prefix, count)["cpu"])


def changes(keys: int, count: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield changes of entities that are held already, each as large as before.

    None comes twice among neighbours: fewer entities would otherwise cost less only because a run merges each once.
    """
    rng = random.Random(1)
    window = min(NEIGHBOURS, keys * 4 // 5)
    order = (entity for _ in itertools.count() for entity in rng.sample(range(keys), window))
    for number, entity in zip(range(count), order, strict=False):
        metadata = {"name": name_of(entity), "description": f"{number} " + "d" * (SIZE - 250)}
        document = {"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata}}
        yield CONNECTOR, key_of(entity), json.dumps(document).encode()
