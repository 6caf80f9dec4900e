"""The code of this version and of the one before it, each run in a process of its own."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
ROOMS = ("schemas", "sinks")


def previous_revision() -> str:
    """Return the commit or tag of the version before this one."""
    return (GOLDEN / "revision").read_text().strip()


def unpacked(revision: str, directory: Path) -> Path | None:
    """Return a directory with the code of *revision*; None where the history is not at hand."""
    try:
        archive = subprocess.run(["git", "-C", ROOT, "archive", revision, *ROOMS], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(directory, filter="data")
    return directory


def exchange(code: Path, *arguments: str, rows: Iterable[Any] = ()) -> list[Any]:
    """Run `exchange.py` with the code of a version."""
    given = "".join(json.dumps(row) + "\n" for row in rows)
    ended = subprocess.run(
        [sys.executable, "-W", "error", HERE / "exchange.py", *arguments],
        env={**os.environ, "PYTHONPATH": str(code)},
        cwd=code,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[-1] == str(code / "schemas/codec.py"), "another version's code was run"
    return [json.loads(text) for text in ended.stdout.splitlines()]


def golden_records() -> list[dict[str, Any]]:
    return [json.loads(text) for text in (GOLDEN / "records.jsonl").read_text().splitlines()]


def differences(rows: Sequence[dict[str, Any]], read: Sequence[Any]) -> list[Any]:
    """Return (record, what was read) where both versions know a field and do not agree on it."""
    return [
        (row, found)
        for row, found in zip(rows, read, strict=True)
        if common(row["told"], found) != common(found, row["told"])
    ]


def common(one: Any, other: Any) -> Any:
    """Return *one* less the keys that *other* does not have, at every level of objects."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: common(value, other[key]) for key, value in one.items() if key in other}
    return one
