"""Notices a list that would never end."""

from collections.abc import Hashable
from typing import Final

from schemas.errors import EndlessSourceError

_IN_A_ROW: Final = 3


class Course:
    """The way of one run through a list: the cursors it followed and the pages it met.

    One page that comes again is no fault: entries move while a list is read, and a page may be as short as one entry.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._cursors: set[Hashable] = set()
        self._pages: set[int] = set()
        self._repeated = 0

    def follow(self, cursor: Hashable) -> None:
        """Call before a page is asked for by *cursor*. Raises EndlessSourceError for one that was followed before."""
        if cursor in self._cursors:
            raise EndlessSourceError(f"{self._place} leads back to a page that was read already: its cursors loop")
        self._cursors.add(cursor)

    def meet(self, content: Hashable) -> None:
        """Call with what tells the page's content. Raises EndlessSourceError for the third in a row met before."""
        digest = hash(content)
        self._repeated = self._repeated + 1 if digest in self._pages else 0
        if self._repeated >= _IN_A_ROW:
            raise EndlessSourceError(f"{self._place} gives the same pages again and again")
        self._pages.add(digest)
