"""The Backstage descriptors among the files of a root, such as a checkout of a repository or the tree of a commit."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sources.documents import NO_OBJECT, Document, read_documents
from sources.files import DirectoryFiles, Files, OutsideError, Unread, is_skipped, shown

MAX_BYTES: Final = 10_000_000

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_CATALOG_INFO: Final = re.compile(r"catalog-info\.(?:yaml|yml|json)")
_LOCATION: Final = b"Location"
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BACKSTAGE: Final = re.compile(r"(?:[a-z0-9-]+\.)*backstage\.io/")
_NO_KIND: Final = "it has an apiVersion of Backstage and no kind: add it, or correct how it is spelt"
_SHOWN_CHARACTERS: Final = 100


def walk(root: Path) -> Iterator[Document]:
    """Yield every descriptor in the directory *root*, and what could not be read: see :meth:`Walk.whole`."""
    for each in Walk(DirectoryFiles(root)).whole():
        yield each if isinstance(each, Document) else _fault(each.scope, each.reason)


def is_read(name: str) -> bool:
    """Say whether a file is read for its name alone, without a Location that points at it."""
    return name.endswith(_SUFFIXES) and not is_skipped(name)


def content(files: Files, name: str, seen: set[str]) -> bytes | Document | None:
    """Return the bytes of *name*, a document that says why there are none, or None where there is nothing to read.

    *seen* holds the real names of what was read before, each file is read once; this one is added.
    """
    try:
        real = files.real(name)
        if real is None or real in seen or is_skipped(real):
            return None
        seen.add(real)
        data = files.read(real, MAX_BYTES + 1)
    except OutsideError:
        return _fault(shown(name), "the link leads out of the directory")
    except (OSError, RuntimeError):
        return _fault(shown(name), "the file cannot be read")
    if not data and files.is_written:
        return _fault(shown(name), "the file is empty, as one is that is about to be written")
    if len(data) > MAX_BYTES:
        return _fault(shown(name), f"the file has more than {MAX_BYTES:,} bytes", hides=_LOCATION in data)
    return data


class Walk:
    """One walk over the descriptors of *files*; each file is read once."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen: set[str] = set()
        self.is_plain = True
        """After the walk: whether each file was read for its own name alone. False where a link or a Location may bring
        in what bears another name, and where what cannot be read may be a Location: then a file that changed does not
        tell which others must be read."""

    def whole(self) -> Iterator[Document | Unread]:
        """Yield every descriptor, and what could not be read, in a stable order.

        A descriptor is a document with `apiVersion` and `kind` in a YAML or JSON file, or in a file that a Location
        entity points at. One of Backstage's `apiVersion` without a kind is refused, not passed over. Nothing outside
        the root is read, whatever a name or a symbolic link says.
        """
        pending: list[str] = []
        for each in self._files.listing():
            if isinstance(each, Unread):
                yield each
            elif is_read(each):
                pending.append(each)
        while pending:
            found: set[str] = set()
            yield from self._read(pending, found)
            pending = sorted(found)

    def some(self, names: Iterable[str]) -> Iterator[Document]:
        """Yield what is in the files *names* alone; of Locations only what is wrong with them."""
        yield from self._read(names, set())

    def _read(self, names: Iterable[str], found: set[str]) -> Iterator[Document]:
        for name in names:
            if self._files.is_link(name):
                self.is_plain = False
            data = content(self._files, name, self._seen)
            if isinstance(data, bytes):
                for document in _descriptors(shown(name), data):
                    self.is_plain &= not document.hides
                    yield document
                    yield from self._follow(name, document, found)
            elif data is not None:
                self.is_plain &= not data.hides
                yield data

    def _follow(self, name: str, location: Document, found: set[str]) -> Iterator[Document]:
        """Add the files that a Location points at to *found*; yield what is wrong with it."""
        for target, called in _targets(location.entity):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
            if "\0" in target or target.startswith("/") or path == ".." or path.startswith("../"):
                yield _misled(location, f"a target of this Location lies outside the directory: {called}")
                continue
            if not path.endswith(_SUFFIXES):
                self.is_plain = False
            files = self._files.matching(path)
            found.update(files)
            if not files and not _may_be_absent(location, target):
                yield _misled(location, f"a target of this Location is not there: {called}")


def _descriptors(name: str, data: bytes) -> list[Document]:
    is_strict = _CATALOG_INFO.fullmatch(posixpath.basename(name)) is not None
    read = map(_with_kind, read_documents(name, data))
    found = [document for document in read if is_strict or _is_descriptor(document, data)]
    if _LOCATION not in data:
        return found
    return [replace(document, hides=document.entity is None) for document in found]


def _with_kind(document: Document) -> Document:
    """Return *document*, or why it is none where it is meant for Backstage and does not say what it is."""
    entity = document.entity or {}
    stated = entity.get("apiVersion")
    if "kind" in entity or not isinstance(stated, str) or not _BACKSTAGE.match(stated):
        return document
    return replace(document, entity=None, error=_NO_KIND)


def _is_descriptor(document: Document, data: bytes) -> bool:
    if document.entity is not None:
        return "apiVersion" in document.entity and "kind" in document.entity
    if document.error == _NO_KIND:
        return True
    return document.error != NO_OBJECT and b"apiVersion" in data and b"kind" in data


def _targets(entity: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return the paths that a Location points at, each with what it is called; other places than files are none."""
    spec = (entity or {}).get("spec")
    if entity is None or entity.get("kind") != "Location" or not isinstance(spec, dict):
        return []
    if spec.get("type") not in (None, "file", "url"):
        return []
    several = spec.get("targets")
    numbered = enumerate(several if isinstance(several, list) else (), start=1)
    stated = [(spec.get("target"), "spec.target"), *((each, f"number {number}") for number, each in numbered)]
    return [
        (target, _called(target, place))
        for target, place in stated
        if isinstance(target, str) and target and not _URL.match(target)
    ]


def _called(target: str, place: str) -> str:
    """Return the name of a target, or its place where it is none that a line could show."""
    return target if len(target) <= _SHOWN_CHARACTERS and target.isprintable() else place


def _may_be_absent(location: Document, target: str) -> bool:
    is_optional = location.entity is not None and location.entity["spec"].get("presence") == "optional"
    return is_optional or "${{" in target


def _fault(name: str, error: str, *, hides: bool = False) -> Document:
    return Document(file=name, line=1, error=error, hides=hides)


def _misled(location: Document, error: str) -> Document:
    return Document(file=location.file, line=location.line, error=error)
