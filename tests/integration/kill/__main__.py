"""The kill test, many times in a row.

usage: python -m tests.integration.kill [--runs N] [--seed N] [--changes N] [--rate N] [--kafka HOST:PORT]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from mainstem.embedded import EmbeddedKafka, default_cache_dir
from tests.integration.kill.scenario import run


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--changes", type=int, default=60_000)
    parser.add_argument("--rate", type=float, default=4_000)
    parser.add_argument("--kafka")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data_dir:
        service = None if options.kafka else EmbeddedKafka(Path(data_dir), cache_dir=default_cache_dir())
        if service:
            service.start()
        right = 0
        try:
            for seed in range(options.seed, options.seed + options.runs):
                begin = time.monotonic()
                outcome = run(options.kafka or service.address, seed=seed, count=options.changes, rate=options.rate)
                right += not outcome.wrong
                verdict = f"{len(outcome.wrong)} WRONG" if outcome.wrong else "right"
                print(
                    f"seed {seed}: {verdict} in {time.monotonic() - begin:.0f} s  {dict(outcome.figures)}", flush=True
                )
                for text in (*outcome.wrong[:10], *outcome.endings):
                    print("   ", text[:3000], flush=True)
        finally:
            if service:
                service.stop()
    print(f"{right} of {options.runs} right")
    return 0 if right == options.runs else 1


if __name__ == "__main__":
    sys.exit(main())
