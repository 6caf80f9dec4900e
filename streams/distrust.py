"""Local stores that are not to be trusted: noted by the process that found out, removed by the next one.

A store is derived from the changelog: what is removed is read again from the beginning.
"""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson
import structlog

log = structlog.get_logger(__name__)


class Distrust:
    """The partitions of one worker's data directory whose store is wrong."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "distrusted.json"

    def note(self, partitions: Iterable[int]) -> None:
        self._file.write_bytes(orjson.dumps(sorted(partitions)))

    def remove_stores(self, path_of: Callable[[int], Path]) -> None:
        """Remove what an earlier process noted. To be called before a store is opened."""
        if not self._file.exists():
            return
        for partition in orjson.loads(self._file.read_bytes()):
            shutil.rmtree(path_of(partition), ignore_errors=True)
            log.warning("processor.store_removed", partition=partition)
        self._file.unlink()
