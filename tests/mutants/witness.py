"""Tells how each test ended: a pytest plugin that writes a line of JSON for each to the file `$MAINSTEM_WITNESS`."""

import json
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.when == "call" or report.outcome != "passed":
        error = call.excinfo.value if call.excinfo else None
        line = {
            "test": report.nodeid,
            "when": report.when,
            "outcome": report.outcome,
            "errors": sorted({type(each).__name__ for each in _parts(error)}),
            "is_expectation": any(_is_expectation(each) for each in _parts(error)),
            "text": str(error or "").split("\n")[0][:200],
        }
        with Path(os.environ["MAINSTEM_WITNESS"]).open("a") as out:
            out.write(json.dumps(line) + "\n")
    return report


def _parts(error: BaseException | None) -> Iterator[BaseException]:
    """Several examples of a property may fail in several ways."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _parts(part)
    elif error is not None:
        yield error


def _is_expectation(error: BaseException) -> bool:
    """Whether a test did not find what it expected: it said so, or could not take the result apart."""
    if isinstance(error, AssertionError | pytest.fail.Exception):
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    is_in_test = bool(frames) and "/tests/" in frames[-1].f_code.co_filename
    return is_in_test and isinstance(error, AttributeError | LookupError | ValueError)
