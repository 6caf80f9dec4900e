"""Type `git`: Backstage descriptors, or any YAML and JSON, in a directory or in a remote repository.

```yaml
connection:
  path: ./catalog   # a directory, relative to the configuration file
```

or `url`, with what `git_settings.py` says; either with `documents`, as in `config_documents.py`.
"""

import threading
from collections.abc import AsyncGenerator, Generator

from schemas.errors import ConfigError, NotFoundError
from sources.base import Cursor, Page, Source, SourceSettings
from sources.config_documents import reading_of
from sources.file_reading import chunks, page
from sources.files import DirectoryFiles
from sources.git_remote import RemoteFiles
from sources.git_settings import parsed
from sources.stepping import stepped


class GitSource(Source):
    """Every file of one root, each a scope of its own."""

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        connection, whose = settings.connection, f"connector {settings.connector}: connection"
        if "url" in connection and "path" in connection:
            raise ConfigError(f"{whose} has path or url, not both")
        self._reading = reading_of(settings)
        self._remote: RemoteFiles | None = None
        if "url" in connection:
            self._remote = RemoteFiles(settings, parsed(settings), self._reading)
            return
        path = connection.get("path")
        if not isinstance(path, str) or not path:
            raise ConfigError(f"{whose}.path must name a directory, or connection.url a repository")
        if unknown := sorted(connection.keys() - {"path", "documents"}):
            raise ConfigError(f"{whose}.{unknown[0]}: unknown key; with path known is documents")
        self._root = (settings.base_dir / path).resolve()

    def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page]:
        """Yield all files in the order of their names. Of a directory a run begins anew: it has no cursor."""
        remote = self._remote
        return stepped(self._directory if remote is None else lambda stop: remote.pages(cursor, stop))

    def changes(self, since: Cursor) -> AsyncGenerator[Page] | None:
        """Yield the files that differ between two commits. A directory cannot tell."""
        remote = self._remote
        return None if remote is None else stepped(lambda stop: remote.changes(since, stop))

    def _directory(self, stop: threading.Event) -> Generator[Page]:
        del stop
        if not self._root.is_dir():
            raise NotFoundError(f"connector {self.settings.connector}: {self._root} is not a directory")
        one_pass = self._reading.over(DirectoryFiles(self._root))
        for chunk in chunks(one_pass.whole(), self.settings.chunk_size):
            yield page(chunk)
        if doubts := list(one_pass.doubts()):
            yield page([], doubts=doubts)
