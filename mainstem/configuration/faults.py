"""What is wrong with a configuration, where it stands, and what to do about it: one line per fault."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from schemas.errors import ConfigError

KeyPath: TypeAlias = tuple[str | int, ...]


def show(path: KeyPath) -> str:
    """Write a path as people do: connectors[2].priority."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def nearest(word: str, names: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, sorted(names), n=1)), None)


def did_you_mean(word: str, known: Iterable[str], *, among: str = "known keys") -> str:
    """Return the remedy for a name that is not known: the nearest one, else all of them."""
    names = sorted(known)
    near = nearest(word, names)
    return f"did you mean {near}?" if near else f"{among}: {', '.join(names) or 'none'}"


@dataclass(slots=True)
class Faults:
    """Faults by their path in the whole configuration, and the files and variables that the paths came from."""

    file: str
    _origins: dict[KeyPath, tuple[str, int]] = field(default_factory=dict)
    _found: list[tuple[KeyPath, str]] = field(default_factory=list)
    _elsewhere: list[str] = field(default_factory=list)

    def comes_from(self, path: KeyPath, source: str, *, cut: int = 0) -> None:
        """Name *source*, not the main file, for all at or under *path*, whose first *cut* steps it does not write."""
        self._origins[path] = (source, cut)

    def place(self, path: KeyPath) -> str:
        """Return the file or variable, and the key in it."""
        known = (path[:length] for length in range(len(path), -1, -1))
        source, cut = next((self._origins[part] for part in known if part in self._origins), (self.file, 0))
        return ": ".join(part for part in (source, show(path[cut:])) if part)

    def add(self, path: KeyPath, sentence: str) -> None:
        self._found.append((path, sentence))

    def add_unless_known(self, path: KeyPath, sentence: str) -> None:
        """Add a fault, unless one at *path* or above it is known, of which this may be a mere consequence."""
        if not any(path[: len(found)] == found for found, _ in self._found):
            self.add(path, sentence)

    def add_line(self, line: str) -> None:
        """Add a fault that has no place in the tree, as a whole line."""
        self._elsewhere.append(line)

    def forget(self, path: KeyPath) -> None:
        """Drop the faults at and under *path*: something else is written over it."""
        self._found = [found for found in self._found if found[0][: len(path)] != path]

    def stop_if_any(self) -> None:
        """Raise ConfigError with every fault, one per line, if there is one."""
        lines = [*self._elsewhere, *(f"{self.place(path)}: {sentence}" for path, sentence in self._found)]
        if lines:
            raise ConfigError("\n".join(dict.fromkeys(lines)))
