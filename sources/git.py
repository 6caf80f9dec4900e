"""Type `git`: a directory of Backstage descriptors.

```yaml
connection:
  path: ./catalog   # relative to the configuration file
```
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from itertools import islice

from schemas.errors import ConfigError, Retriable
from sources.base import Cursor, Item, Page, Refused, Source, SourceSettings
from sources.catalog_files import walk
from sources.documents import Document


class GitSource(Source):
    """Every descriptor below one directory, and what its Locations point to within it."""

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        path = settings.connection.get("path")
        if not isinstance(path, str) or not path:
            raise ConfigError(f"connector {settings.connector}: connection.path must name a directory")
        if unknown := sorted(settings.connection.keys() - {"path"}):
            raise ConfigError(f"connector {settings.connector}: connection.{unknown[0]}: unknown key; known is path")
        self._root = (settings.base_dir / path).resolve()

    async def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page]:
        """Yield all files in the order of their names. A run begins anew: a directory has no cursor."""
        del cursor
        if not self._root.is_dir():
            raise Retriable(f"connector {self.settings.connector}: {self._root} is not a directory")
        documents = walk(self._root)
        while chunk := await asyncio.to_thread(_next_chunk, documents, self.settings.chunk_size):
            yield _page(chunk)


def _next_chunk(documents: Iterator[Document], size: int) -> tuple[Document, ...]:
    return tuple(islice(documents, size))


def _page(documents: tuple[Document, ...]) -> Page:
    items = [
        Item(place=f"{each.file}:{each.line}", change={"entity": each.entity})
        for each in documents
        if each.entity is not None
    ]
    refused = [
        Refused(place=f"{each.file}:{each.line}", reason=each.error or "not readable")
        for each in documents
        if each.entity is None
    ]
    return Page(items=items, refused=refused)
