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
        """Add *partitions* to those noted already."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(sorted({*partitions, *self._noted()})))
        fresh.replace(self._file)

    def remove_stores(self, path_of: Callable[[int], Path]) -> None:
        """Remove what an earlier process noted. To be called before a store is opened."""
        for partition in self._noted():
            shutil.rmtree(path_of(partition), ignore_errors=True)
            log.warning("processor.store_removed", partition=partition)
        self._file.unlink(missing_ok=True)

    def _noted(self) -> list[int]:
        if not self._file.exists():
            return []
        found: list[int] = orjson.loads(self._file.read_bytes())
        return found
