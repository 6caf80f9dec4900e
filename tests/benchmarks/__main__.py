"""How fast, how soon and how large: every figure with its goal beside it, ratios from one run.

usage: python -m tests.benchmarks [NAME…] [--quick] [--repeats N] [--json]

NAME is a benchmark or its letter: a engines, b recovery, c sink-rows, d latency, e memory, f growth, g connectors,
h backstage, i api.
`--quick` is for trying out: its figures mean nothing.
"""

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
from rich.console import Console

from mainstem.embedded import EmbeddedKafka, default_cache_dir
from tests.benchmarks.figures import Bench, Figure, noted, show, stolen

BENCHMARKS = {
    "engines": "tests.benchmarks.throughput",
    "recovery": "tests.benchmarks.recovery",
    "sink-rows": "tests.benchmarks.sink_rows",
    "latency": "tests.benchmarks.latency",
    "memory": "tests.benchmarks.memory",
    "growth": "tests.benchmarks.growth",
    "connectors": "tests.benchmarks.connectors",
    "backstage": "tests.benchmarks.backstage",
    "api": "tests.benchmarks.api",
}
LETTERS = dict(zip("abcdefghi", BENCHMARKS, strict=True))


def main() -> None:
    options = _options()
    figures: list[Figure] = []
    console = Console(stderr=True)
    with console.status("") as status:
        for name in dict.fromkeys(LETTERS.get(each, each) for each in options.names or BENCHMARKS):
            figures += _measured(name, options, lambda text, name=name: status.update(f"{name}: {text}"))
            if not options.json:
                show([each for each in figures if each.benchmark == name], as_json=False)
    if options.json:
        show(figures, as_json=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument(
        "names", nargs="*", choices=[[], *BENCHMARKS, *LETTERS], metavar="NAME", help=", ".join(BENCHMARKS)
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, once: for trying out")
    parser.add_argument("--repeats", type=int, default=3, help="medians of so many (3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def _measured(name: str, options: argparse.Namespace, say: Callable[[str], None]) -> list[Figure]:
    module = importlib.import_module(BENCHMARKS[name])
    say("starting Kafka")
    with tempfile.TemporaryDirectory(prefix="mst-bench-") as data_dir:
        service = EmbeddedKafka(Path(data_dir), cache_dir=default_cache_dir())
        service.start()
        try:
            repeats = 1 if options.quick else options.repeats
            bench = Bench(bootstrap=service.address, is_quick=options.quick, repeats=repeats, say=say)
            before = psutil.cpu_times()
            figures: list[Figure] = module.measure(bench)
            return noted(figures, stolen(before, psutil.cpu_times()))
        finally:
            service.stop()


if __name__ == "__main__":
    sys.exit(main())
