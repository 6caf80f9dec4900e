"""How the files of a root become changes: as Backstage descriptors, or by the rules of `connection.documents`."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Final

from sources.base import Cursor, Item, Page, Refused
from sources.catalog_files import Walk, is_read
from sources.documents import Document
from sources.files import Files, Unread

Found = Item | Refused | Unread

_NO_DESCRIPTOR: Final = (
    "connection: there is no Backstage descriptor in any file; correct where the files are read from, or say in"
    " connection.documents what becomes of other files"
)


class Pass(ABC):
    """One pass over the files of a root. All that one file gave comes in one go; its name is the scope."""

    @property
    @abstractmethod
    def is_plain(self) -> bool:
        """Whether each file was so far read for its own name alone: no link, no Location to one of another name."""

    @abstractmethod
    def whole(self) -> Iterator[Found]:
        """Yield what is in all files, in an order that is the same for the same files."""

    @abstractmethod
    def doubts(self) -> Iterator[str]:
        """After :meth:`whole`: yield a sentence for each setting that was without effect; see :attr:`Page.doubts`."""

    @abstractmethod
    def some(self, names: Iterable[str]) -> Iterator[Found]:
        """Yield what is in the files *names*, each of which :meth:`Reading.reads`."""


class Reading(ABC):
    """Frozen: what the configuration says of it."""

    @abstractmethod
    def over(self, files: Files) -> Pass:
        """Begin a pass."""

    @abstractmethod
    def reads(self, name: str) -> bool:
        """Say whether a file of that name is read."""


class Descriptors(Reading):
    """Every Backstage descriptor, and what Locations point at."""

    def over(self, files: Files) -> Pass:
        return _DescriptorPass(files)

    def reads(self, name: str) -> bool:
        return is_read(name)


class _DescriptorPass(Pass):
    def __init__(self, files: Files) -> None:
        self._walk = Walk(files)
        self._is_barren = True

    @property
    def is_plain(self) -> bool:
        return self._walk.is_plain

    def whole(self) -> Iterator[Found]:
        for each in self._walk.whole():
            self._is_barren = False
            yield each if isinstance(each, Unread) else _found(each)

    def doubts(self) -> Iterator[str]:
        if self._is_barren:
            yield _NO_DESCRIPTOR

    def some(self, names: Iterable[str]) -> Iterator[Found]:
        yield from map(_found, self._walk.some(names))


def _found(document: Document) -> Item | Refused:
    place = f"{document.file}:{document.line}"
    if document.entity is None:
        scope = "" if document.hides else document.file
        return Refused(place=place, reason=document.error or "not readable", scope=scope)
    return Item(place=place, change={"entity": document.entity}, scope=document.file)


def chunks(found: Iterator[Found], size: int) -> Iterator[list[Found]]:
    """Yield at least *size* at a time, and no file in parts: a cursor stands between two files."""
    chunk: list[Found] = []
    for each in found:
        if len(chunk) >= size and each.scope != chunk[-1].scope:
            yield chunk
            chunk = []
        chunk.append(each)
    if chunk:
        yield chunk


def page(
    chunk: Iterable[Found], cursor: Cursor | None = None, *, covers: Iterable[str] = (), doubts: Iterable[str] = ()
) -> Page:
    """Put what was found into a page."""
    chunk = list(chunk)
    return Page(
        items=[each for each in chunk if isinstance(each, Item)],
        refused=[each for each in chunk if isinstance(each, Refused)],
        unread={each.scope: each.reason for each in chunk if isinstance(each, Unread)},
        cursor=cursor,
        covers=tuple(covers),
        doubts=tuple(doubts),
    )
