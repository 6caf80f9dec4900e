"""The Backstage descriptors in a directory, such as a checkout of a repository."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sources.documents import NO_OBJECT, Document, read_documents

MAX_BYTES: Final = 10_000_000

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_SKIPPED: Final = frozenset({".git", "node_modules"})
_CATALOG_INFO: Final = re.compile(r"catalog-info\.(?:yaml|yml|json)")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def walk(root: Path) -> Iterator[Document]:
    """Yield every descriptor below *root*, and what could not be read, each file once, in a stable order.

    A descriptor is a document with `apiVersion` and `kind` in a YAML or JSON file, or in a file that a Location
    entity points at. Nothing outside *root* is read, whatever a path or a symbolic link says. Files are named
    relative to *root*.
    """
    root = root.resolve()
    errors: list[OSError] = []
    pending = _files(root, errors)
    for error in errors:
        yield _unreadable(_name(root, Path(error.filename)), "the directory cannot be read")
    seen: set[Path] = set()
    while pending:
        found: set[Path] = set()
        for path in pending:
            for document in _read_once(root, path, seen):
                yield document
                for target in _targets(document.entity):
                    yield from _follow(root, document, target, found)
        pending = sorted(found)


def _files(root: Path, errors: list[OSError]) -> list[Path]:
    found: list[Path] = []
    for directory, below, names in os.walk(root, onerror=errors.append):
        below[:] = [name for name in below if name not in _SKIPPED]
        found += (Path(directory, name) for name in names if name.endswith(_SUFFIXES))
    return sorted(found)


def _read_once(root: Path, path: Path, seen: set[Path]) -> Iterator[Document]:
    name = _name(root, path)
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root):
            yield _unreadable(name, "the link leads out of the directory")
            return
        if real in seen or not real.is_file() or _is_skipped(root, real):
            return
        seen.add(real)
        with real.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, RuntimeError):
        yield _unreadable(name, "the file cannot be read")
        return
    if len(data) > MAX_BYTES:
        yield _unreadable(name, f"the file has more than {MAX_BYTES:,} bytes")
        return
    is_strict = _CATALOG_INFO.fullmatch(path.name) is not None
    yield from (document for document in read_documents(name, data) if is_strict or _is_descriptor(document, data))


def _is_descriptor(document: Document, data: bytes) -> bool:
    if document.entity is not None:
        return "apiVersion" in document.entity and "kind" in document.entity
    return document.error != NO_OBJECT and b"apiVersion" in data and b"kind" in data


def _targets(entity: dict[str, Any] | None) -> list[str]:
    """Return the paths that a Location points at; other places than files are none."""
    spec = (entity or {}).get("spec")
    if entity is None or entity.get("kind") != "Location" or not isinstance(spec, dict):
        return []
    if spec.get("type") not in (None, "file", "url"):
        return []
    several = spec.get("targets")
    stated = [spec.get("target"), *(several if isinstance(several, list) else [])]
    return [target for target in stated if isinstance(target, str) and target and not _URL.match(target)]


def _follow(root: Path, location: Document, target: str, found: set[Path]) -> Iterator[Document]:
    """Add the files that *target* means to *found*; yield what is wrong with it."""
    path = Path(os.path.normpath(root / Path(location.file).parent / target))
    if "\0" in target or Path(target).is_absolute() or not path.is_relative_to(root):
        yield _misled(location, "a target of this Location lies outside the directory")
        return
    try:
        files = [file for file in _glob(root, path) if file.is_file()]
    except (OSError, ValueError, RuntimeError):
        files = []
    found.update(files)
    if not files and not _may_be_absent(location, target):
        yield _misled(location, "a target of this Location is not there")


def _glob(root: Path, path: Path) -> Iterator[Path]:
    if "*" in path.name or "*" in str(path.relative_to(root)):
        return root.glob(str(path.relative_to(root)))
    return iter([path])


def _may_be_absent(location: Document, target: str) -> bool:
    is_optional = location.entity is not None and location.entity["spec"].get("presence") == "optional"
    return is_optional or "${{" in target


def _is_skipped(root: Path, path: Path) -> bool:
    return not _SKIPPED.isdisjoint(path.relative_to(root).parts)


def _name(root: Path, path: Path) -> str:
    relative = path.relative_to(root) if path.is_relative_to(root) else path.name
    return os.fsencode(relative).decode("utf-8", "replace").replace(os.sep, "/")


def _unreadable(name: str, error: str) -> Document:
    return Document(file=name, line=1, error=error)


def _misled(location: Document, error: str) -> Document:
    return Document(file=location.file, line=location.line, error=error)
