"""The files below one root, wherever they are kept: what a walk over them needs, and no more."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

SKIPPED: Final = frozenset({".git", "node_modules"})
"""Directories of which nothing is read, wherever they lie."""


class OutsideError(Exception):
    """A name or link that leads out of the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A directory that could not be read; nobody knows what is in it. The root itself is the empty scope."""

    scope: str
    reason: str


class Files(ABC):
    """Files by their names: relative to the root, with `/`; bytes that are no UTF-8 are kept as surrogates."""

    is_written: ClassVar[bool] = False
    """Whether somebody may write a file while it is read: one that is empty may be about to be."""

    @abstractmethod
    def listing(self) -> Iterator[str | Unread]:
        """Yield what could not be listed, then all files and links in the order of their names.

        Links to directories are not followed; nothing of a skipped directory is listed.
        """

    @abstractmethod
    def real(self, name: str) -> str | None:
        """Return the name of the regular file that *name* leads to, every link followed; None for another thing.

        Raises OutsideError where it leads out of the root, OSError or RuntimeError where it leads nowhere.
        """

    @abstractmethod
    def read(self, real: str, limit: int) -> bytes:
        """Return the first *limit* bytes of what :meth:`real` returned. Raises OSError."""

    @abstractmethod
    def is_link(self, name: str) -> bool:
        """Say whether *name* itself is a symbolic link."""

    @abstractmethod
    def matching(self, pattern: str) -> Sequence[str]:
        """Return the files that *pattern* means: a name, or one with `*` and `**`. Empty where there is none."""


class DirectoryFiles(Files):
    """The files in a directory of this machine."""

    is_written = True

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def listing(self) -> Iterator[str | Unread]:
        errors: list[OSError] = []
        found: list[Path] = []
        for directory, below, names in os.walk(self._root, onerror=errors.append):
            below[:] = [name for name in below if name not in SKIPPED]
            found += (Path(directory, name) for name in names)
        for error in errors:
            name = self._name(Path(error.filename))
            yield Unread(scope="" if name == "." else shown(name), reason="the directory cannot be read")
        yield from (self._name(path) for path in sorted(found))

    def real(self, name: str) -> str | None:
        path = (self._root / name).resolve(strict=True)
        if not path.is_relative_to(self._root):
            raise OutsideError
        return self._name(path) if path.is_file() else None

    def read(self, real: str, limit: int) -> bytes:
        with (self._root / real).open("rb") as file:
            return file.read(limit)

    def is_link(self, name: str) -> bool:
        return (self._root / name).is_symlink()

    def matching(self, pattern: str) -> Sequence[str]:
        try:
            paths = self._root.glob(pattern) if "*" in pattern else [self._root / pattern]
            return [self._name(path) for path in paths if path.is_file()]
        except (OSError, ValueError, RuntimeError):
            return []

    def _name(self, path: Path) -> str:
        relative = path.relative_to(self._root) if path.is_relative_to(self._root) else Path(path.name)
        return str(relative).replace(os.sep, "/")


def shown(name: str) -> str:
    """Return *name* as it may be written down: what is no UTF-8 in it is replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_skipped(name: str) -> bool:
    """Say whether *name* lies in a directory of which nothing is read."""
    return not SKIPPED.isdisjoint(name.split("/"))
