"""One trial: a copy of the tree, broken, and the test that must fail there for the right reason."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mutants.catalogue import ROOT, Mutant

LEFT_OUT = (".venv", ".git", ".hypothesis", ".mainstem", ".*_cache", "node_modules")
SECONDS = 240
"""How long one test may take; what hangs is caught."""
_WITNESSED = ("-p", "tests.mutants.witness", f"--timeout={SECONDS // 2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one mutant. `reason`: how its test failed, or why this shows nothing."""

    mutant: Mutant
    is_caught: bool
    reason: str
    seconds: float


@dataclass
class Trials:
    """Runs tests on copies of the tree, with services that all of them share, and ends what still runs."""

    environment: Mapping[str, str]
    _running: set["subprocess.Popen[bytes]"] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def control(self, tests: Collection[str]) -> dict[str, str]:
        """Return of each of *tests* that does not pass on the unbroken tree how it ended."""
        with _copy() as root:
            reports, said = self._pytest(root, sorted(tests), stops_early=False)
        if not reports:
            return dict.fromkeys(tests, f"no test ran: {said}")
        found = {}
        for test in tests:
            mine = [each for each in reports if _belongs(each["test"], test)]
            bad = [each for each in mine if each["outcome"] != "passed"]
            if bad or not mine:
                found[test] = f"{bad[0]['outcome']} unbroken: {bad[0]['text']}" if bad else "did not run"
        return found

    def judge(self, mutant: Mutant) -> Verdict:
        began = time.monotonic()
        with _copy() as root:
            try:
                mutant.apply(root)
            except SyntaxError as error:
                is_caught, reason = False, f"no program any more: {error}"
            else:
                is_caught, reason = self._test(root, mutant)
        return Verdict(mutant=mutant, is_caught=is_caught, reason=reason, seconds=time.monotonic() - began)

    def end(self) -> None:
        """End all tests that run."""
        with self._lock:
            for process in self._running:
                os.killpg(process.pid, signal.SIGKILL)

    def _test(self, root: Path, mutant: Mutant) -> tuple[bool, str]:
        reports, said = self._pytest(root, [mutant.test], stops_early=True)
        failed = [each for each in reports if each["outcome"] == "failed"]
        if not failed:
            return False, "survived" if reports else f"no test ran: {said}"
        first = failed[0]
        told = f"{', '.join(first['errors'])}: {first['text']}"
        is_right = mutant.error in first["errors"] if mutant.error else first["is_expectation"]
        if first["when"] != "call" or not is_right:
            return False, f"failed for another reason ({first['when']}): {told}"
        return True, told

    def _pytest(self, root: Path, tests: list[str], *, stops_early: bool) -> tuple[list[dict[str, Any]], str]:
        witness = root / "witness.jsonl"
        arguments = ["-m", "pytest", "-n0", "-q", "--no-header", "-p", "no:cacheprovider", *_WITNESSED]
        if stops_early:
            arguments.append("-x")
        arguments += tests
        _, said = self._run(root, arguments, MAINSTEM_WITNESS=str(witness), MAINSTEM_TEST_HYPOTHESIS="ci")
        lines = witness.read_text().splitlines() if witness.exists() else []
        return [json.loads(line) for line in lines], said[-500:]

    def _run(self, root: Path, arguments: list[str], **variables: str) -> tuple[int, str]:
        # The environment's packages are those of the checkout; the copy must come before them, in every child too.
        environment = {**os.environ, **self.environment, **variables, "PYTHONPATH": str(root)}
        with (root / "said").open("wb") as out:
            process = subprocess.Popen([sys.executable, *arguments], cwd=root, env=environment, stdout=out,
                                       stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
            with self._lock:
                self._running.add(process)
            try:
                code = process.wait(SECONDS * 3)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)
        return code, (root / "said").read_text(errors="replace")


@contextmanager
def _copy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as home:
        root = Path(home) / "tree"
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*LEFT_OUT))
        yield root


def _belongs(found: str, asked: str) -> bool:
    return found == asked or found.startswith((f"{asked}[", f"{asked}::", f"{asked}/"))
