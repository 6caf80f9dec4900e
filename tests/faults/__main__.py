"""Faults, round after round, each with a seed of its own.

usage: python -m tests.faults [--seed N] [--rounds N | --minutes M] [--every S] [--only NAME …] [--list] [--json]
"""

import argparse
import json
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator

import structlog

from tests.faults.plan import CATALOGUE, draw_plan
from tests.faults.round import Outcome, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of the first round; the next: +1")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="begin no round after so many minutes, whatever --rounds says")
    parser.add_argument("--every", type=float, default=0, help="seconds between the beginnings of two rounds, at least")
    parser.add_argument("--only", nargs="+", default=(), choices=[kind.name for kind in CATALOGUE], metavar="NAME")
    parser.add_argument("--list", action="store_true", help="the faults there are")
    parser.add_argument("--json", action="store_true", help="a JSON object per round")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if options.list:
        for kind in CATALOGUE:
            print(f"{kind.name:24} {(kind.__doc__ or '').splitlines()[0]}")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    outcomes: list[Outcome] = []
    try:
        for seed in _seeds(options):
            begin = time.monotonic()
            outcomes.append(play(draw_plan(seed, options.only)))
            _tell(outcomes[-1], time.monotonic() - begin, options)
    except KeyboardInterrupt:
        print("ended before its time", file=sys.stderr)
    return _sum_up(outcomes)


def _sum_up(outcomes: list[Outcome]) -> int:
    """Tell what all rounds came to; return the exit code."""
    struck = Counter(step.fault.name for outcome in outcomes for step in outcome.plan.steps)
    figures = sum((outcome.figures for outcome in outcomes), Counter[str]())
    wrong = [outcome.plan.seed for outcome in outcomes if outcome.wrong]
    print(f"{len(outcomes) - len(wrong)} of {len(outcomes)} rounds without a difference", file=sys.stderr)
    print("struck:", ", ".join(f"{name} {count}" for name, count in struck.most_common()), file=sys.stderr)
    counted = ("published", "entity writes", "events", "dead letters", "forwarded", "repeated events")
    print(", ".join(f"{name} {figures[name]}" for name in counted), file=sys.stderr)
    if wrong:
        print("seeds with a difference:", *wrong, file=sys.stderr)
    return 1 if wrong or not outcomes else 0


def _seeds(options: argparse.Namespace) -> Iterator[int]:
    begin, seed = time.monotonic(), options.seed
    while True:
        number = seed - options.seed
        is_over = (
            number >= options.rounds if options.minutes is None else time.monotonic() - begin > options.minutes * 60
        )
        if is_over:
            return
        time.sleep(max(0.0, begin + number * options.every - time.monotonic()))
        yield seed
        seed += 1


def _tell(outcome: Outcome, seconds: float, options: argparse.Namespace) -> None:
    only = f" --only {' '.join(options.only)}" if options.only else ""
    replay = f"python -m tests.faults --seed {outcome.plan.seed}{only}"
    if options.json:
        told = {"seed": outcome.plan.seed, "plan": str(outcome.plan), "seconds": round(seconds), "replay": replay,
                "wrong": outcome.wrong, "struck": outcome.struck, "endings": outcome.endings,
                "figures": outcome.figures, "home": str(outcome.home or "")}  # fmt: skip
        print(json.dumps(told), flush=True)
        return
    verdict = f"{len(outcome.wrong)} WRONG" if outcome.wrong else "right"
    print(f"seed {outcome.plan.seed}: {verdict} in {seconds:.0f} s; {outcome.plan}", flush=True)
    if outcome.wrong:
        for text in (*outcome.struck, *outcome.endings, *outcome.wrong[:10]):
            print("   ", text[:3000])
        print(f"    kept: {outcome.home}; again: {replay}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
