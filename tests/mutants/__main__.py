"""Break the build on purpose, one promise at a time, and see the test of that promise fail.

usage: python -m tests.mutants [NAME…] [--list] [--jobs N] [--json] [--no-control]

NAME is a mutant, or a part of its name such as `streams/`. Ends with 1 when one of them survives.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mainstem.embedded import EmbeddedKafka, EmbeddedPostgres, default_cache_dir
from tests.mutants.catalogue import ROOT, Mutant, mutants
from tests.mutants.trial import Trials, Verdict

_SHOWN = 110
_PIPE_COLUMNS = 200


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _options()
    chosen = [each for each in mutants() if not options.names or any(name in each.name for name in options.names)]
    if not chosen:
        sys.exit(f"no mutant has {' or '.join(options.names)} in its name; --list shows all")
    if options.list:
        _show_list(chosen, as_json=options.json)
        return 0
    rotten = [fault for each in chosen for fault in each.faults(ROOT)]
    if rotten:
        sys.exit("\n".join(rotten))
    with _services(chosen) as environment:
        verdicts = _judge(chosen, Trials(environment), options)
    _show(verdicts, as_json=options.json)
    return 0 if all(each.is_caught for each in verdicts) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a mutant, or a part of its name")
    parser.add_argument("--list", action="store_true", help="show the mutants and their promises, run nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="trials at a time")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--no-control", action="store_true", help="do not run the tests on the unbroken tree first")
    return parser.parse_args()


@contextmanager
def _services(chosen: Iterable[Mutant]) -> Iterator[dict[str, str]]:
    """Yield the environment that names one Kafka and one Postgres for all trials, where any trial needs them."""
    if not any(each.needs_services for each in chosen):
        yield {}
        return
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mst-")))
        found = {name: os.environ.get(name, "") for name in ("MAINSTEM_TEST_KAFKA", "MAINSTEM_TEST_POSTGRES")}
        if not found["MAINSTEM_TEST_KAFKA"]:
            kafka = EmbeddedKafka(home, cache_dir=default_cache_dir())
            stack.callback(kafka.stop)
            kafka.start()
            found["MAINSTEM_TEST_KAFKA"] = kafka.address
        if not found["MAINSTEM_TEST_POSTGRES"]:
            postgres = EmbeddedPostgres(home, fsync=False)
            stack.callback(postgres.stop)
            postgres.start()
            found["MAINSTEM_TEST_POSTGRES"] = postgres.dsn("postgres")
        yield found


def _judge(chosen: list[Mutant], trials: Trials, options: argparse.Namespace) -> list[Verdict]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    verdicts: list[Verdict] = []
    with (
        Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress,
        ThreadPoolExecutor(options.jobs) as pool,
    ):
        task = progress.add_task("control", total=len(chosen))
        try:
            unfit = {} if options.no_control else _control(chosen, trials, pool)
            progress.update(task, description="mutants")
            for verdict in _outcomes(chosen, unfit, trials, pool):
                verdicts.append(verdict)
                progress.advance(task)
                if not progress.disable:
                    continue
                print(_line(verdict), file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            trials.end()
            raise
    return sorted(verdicts, key=lambda each: each.mutant.name)


def _control(chosen: list[Mutant], trials: Trials, pool: ThreadPoolExecutor) -> dict[str, str]:
    """Return the tests that do not pass on the unbroken tree: they show nothing about a mutant."""
    tests = {each.test for each in chosen}
    by_file: dict[str, set[str]] = {}
    for test in tests:
        # The quick ones in one process, the others a file at a time: they share what its fixtures start.
        file = "" if test.startswith(("tests/unit/", "tests/properties/")) else test.partition("::")[0]
        by_file.setdefault(file, set()).add(test)
    return {test: reason for found in pool.map(trials.control, by_file.values()) for test, reason in found.items()}


def _outcomes(
    chosen: list[Mutant], unfit: dict[str, str], trials: Trials, pool: ThreadPoolExecutor
) -> Iterator[Verdict]:
    fit = [each for each in chosen if each.test not in unfit]
    # The slow ones first, so that none of them is left alone at the end.
    waiting = [pool.submit(trials.judge, each) for each in sorted(fit, key=lambda each: not each.needs_services)]
    for each in chosen:
        if each.test in unfit:
            yield Verdict(mutant=each, is_caught=False, reason=f"its test {unfit[each.test]}", seconds=0)
    for future in as_completed(waiting):
        yield future.result()


def _line(verdict: Verdict) -> str:
    mark = "caught  " if verdict.is_caught else "SURVIVED"
    return f"{mark} {verdict.seconds:5.1f} s  {verdict.mutant.name}: {verdict.reason[:_SHOWN]}"


def _show(verdicts: list[Verdict], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"name": v.mutant.name, "promise": v.mutant.promise, "caught": v.is_caught, "reason": v.reason,
             "seconds": round(v.seconds, 1), "test": v.mutant.test}
            for v in verdicts
        ]  # fmt: skip
        print(json.dumps(rows, indent=2))
        return
    table = Table("mutant", "outcome", "seconds", "how it was noticed")
    for each in verdicts:
        outcome = "caught" if each.is_caught else "[red]survived[/red]"
        table.add_row(each.mutant.name, outcome, f"{each.seconds:.0f}", escape(each.reason[:_SHOWN]))
    caught = sum(each.is_caught for each in verdicts)
    console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    console.print(table)
    console.print(f"{caught} of {len(verdicts)} mutants caught")


def _show_list(chosen: list[Mutant], *, as_json: bool) -> None:
    if as_json:
        rows = [{"name": m.name, "promise": m.promise, "file": m.file, "test": m.test} for m in chosen]
        print(json.dumps(rows, indent=2))
        return
    table = Table("mutant", "what it breaks", "file")
    for each in chosen:
        table.add_row(each.name, each.promise, each.file)
    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(table)


if __name__ == "__main__":
    sys.exit(main())
