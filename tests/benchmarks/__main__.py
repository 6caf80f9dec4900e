"""How fast the processor is beside a hand-written loop and beside Faust as shipped, and whether its memory stays.

usage: python -m tests.benchmarks [--changes N] [--repeats N] [--memory N]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic

from mainstem.embedded import EmbeddedKafka, default_cache_dir
from tests.benchmarks.engines import STOCK_TABLE
from tests.benchmarks.load import PARTITIONS, publish

STOCK_SHARE = 6
"""Faust as shipped is too slow for the whole."""
GOALS = {"confluent": 0.7, "stock": 4.0}


def measure(bootstrap: str, engine: str, count: int) -> dict[str, Any]:
    prefix = f"b-{uuid.uuid4().hex[:8]}"
    publish(bootstrap, prefix, count)
    if engine == "stock":
        changelog = NewTopic(f"{prefix}-stock-{STOCK_TABLE}-changelog", PARTITIONS, 1)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for answer in admin.create_topics([changelog]).values():
            answer.result()
    with tempfile.TemporaryDirectory(prefix="mst-bench-") as data_dir:
        command = [sys.executable, "-m", "tests.benchmarks.engines", engine, bootstrap, prefix, str(count), data_dir]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def compare(bootstrap: str, count: int, repeats: int) -> None:
    medians: dict[str, dict[str, float]] = {}
    for engine in ("mainstem", "confluent", "stock"):
        share = count // STOCK_SHARE if engine == "stock" else count
        figures = [measure(bootstrap, engine, share) for _ in range(repeats)]
        medians[engine] = {name: statistics.median(each[name] for each in figures) for name in ("wall", "cpu")}
        print(f"{engine:10} {medians[engine]['wall']:9,.0f} changes/s {medians[engine]['cpu']:9,.0f} per CPU second",
              flush=True)  # fmt: skip
    for engine, goal in GOALS.items():
        wall, cpu = (medians["mainstem"][name] / medians[engine][name] for name in ("wall", "cpu"))
        print(f"mainstem / {engine:10} {wall:5.2f} x wall {cpu:5.2f} x per CPU second   (goal {goal} x)", flush=True)


def memory(bootstrap: str, count: int) -> None:
    resident = measure(bootstrap, "mainstem", count)["resident"]
    print(f"resident MB after each quarter of {count:,} changes: {resident}, grown {resident[-1] - resident[0]:+} MB")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", type=int, default=200_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mst-bench-") as data_dir:
        service = EmbeddedKafka(Path(data_dir), cache_dir=default_cache_dir())
        service.start()
        try:
            if options.changes:
                compare(service.address, options.changes, options.repeats)
            if options.memory:
                memory(service.address, options.memory)
        finally:
            service.stop()


if __name__ == "__main__":
    main()
