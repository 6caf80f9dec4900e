"""The mutants: small files that each break one promise, and name the test that must notice.

A file is TOML: `promise` (what the broken build breaks, in a sentence), `file`, `old` and `new` (the old text occurs in
the file exactly once), and `test` (what pytest takes: the smallest test that fails). `error` names the error that the
test must end with where that is not an expectation of its own.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DIRECTORY: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One broken build, and the test that must fail on it."""

    name: str
    promise: str
    file: str
    old: str
    new: str
    test: str
    error: str = ""

    @property
    def needs_services(self) -> bool:
        return not self.test.startswith(("tests/unit/", "tests/properties/"))

    def faults(self, root: Path) -> list[str]:
        """Return a sentence for each reason why this is no mutant of the build at *root*."""
        path = root / self.file
        if not path.is_file():
            return [f"{self.name}: there is no {self.file}"]
        found = []
        if (count := path.read_text().count(self.old)) != 1:
            found.append(f"{self.name}: the old text occurs {count} times in {self.file}")
        if self.old == self.new:
            found.append(f"{self.name}: the new text is the old one")
        if not _is_there(root, self.test):
            found.append(f"{self.name}: there is no test {self.test}")
        return found

    def apply(self, root: Path) -> None:
        """Break the build at *root*. Raises SyntaxError where that is no program any more."""
        path = root / self.file
        text = path.read_text().replace(self.old, self.new)
        if path.suffix == ".py":
            compile(text, str(path), "exec")
        path.write_text(text)


def mutants() -> list[Mutant]:
    """Return every mutant there is, by name."""
    return [_read(path) for path in sorted(DIRECTORY.glob("*/*.toml"))]


def _read(path: Path) -> Mutant:
    name = path.relative_to(DIRECTORY).with_suffix("").as_posix()
    return Mutant(name=name, **tomllib.loads(path.read_text()))


def _is_there(root: Path, test: str) -> bool:
    path, _, name = test.partition("::")
    file = root / path
    return file.is_file() and f"def {name.partition('[')[0]}(" in file.read_text() if name else file.exists()
