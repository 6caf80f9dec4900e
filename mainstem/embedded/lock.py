"""One program per data directory: the second is told who has it."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from schemas.errors import UnavailableError


class DataDirLock:
    """Holds *directory* for this process until `release` or the end of the process, however it ends.

    The file stays behind on purpose: removing it would let two programs lock two different files.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the directory, making it if need be. May be repeated. Raises UnavailableError if it is taken."""
        if self._file is not None:
            return
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            file = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UnavailableError(f"the data directory {self.directory} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(file, 32).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise UnavailableError(
                f"the data directory {self.directory} is in use by process {owner}: stop it, or use another --data-dir"
            ) from None
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
