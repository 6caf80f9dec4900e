"""A process that runs a connector and is struck by a signal at a labelled point.

usage: python -m tests.integration.sources.struck FILE, which holds the JSON of :class:`Blow`.
"""

import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from schemas.topics import Topics
from sources.guard import Limits
from tests.integration.sources.scripted import Scripted
from tests.integration.sources.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Blow:
    """The *number*-th time that a run reaches *label*, its process gets the signal *name*."""

    kafka: str
    dsn: str
    prefix: str
    system: dict[str, dict[str, Any]]
    size: int
    label: str
    number: int
    name: str
    lease_seconds: float


def strike(blow: Blow, file: Path) -> "subprocess.Popen[bytes]":
    """Start the process."""
    file.write_bytes(orjson.dumps(asdict(blow)))
    return subprocess.Popen([sys.executable, "-m", "tests.integration.sources.struck", str(file)])


def main(file: str) -> None:
    blow = Blow(**orjson.loads(Path(file).read_bytes()))
    stage = Stage(blow.kafka, blow.dsn, Topics(prefix=blow.prefix, partitions=2, replication_factor=1))
    stage.limits = Limits(max_count=1_000, max_percent=100)
    stage.lease_seconds = blow.lease_seconds
    seen = 0

    def reached(label: str) -> None:
        nonlocal seen
        seen += label == blow.label
        if label == blow.label and seen == blow.number:
            os.kill(os.getpid(), getattr(signal, blow.name))

    stage.reached = reached
    stage.look(Scripted(blow.system, size=blow.size))


if __name__ == "__main__":
    main(sys.argv[1])
