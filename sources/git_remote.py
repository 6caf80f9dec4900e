"""The files of a remote repository, commit by commit: all of them, or those that differ between two commits.

Blocking: `sources/stepping.py` takes the pages one by one in a thread.
"""

import hashlib
import json
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain
from typing import Any, Final

from dulwich.objects import ObjectID
from dulwich.repo import Repo

from schemas.errors import CursorExpiredError
from sources.base import Cursor, Item, Page, SourceSettings
from sources.file_reading import Found, Pass, Reading, chunks, page
from sources.files import shown
from sources.git_copy import Copy
from sources.git_settings import Remote
from sources.git_tree import DamagedCopyError, TreeFiles, differing

_INDIRECT: Final = "a link or a Location brings in files of other names: what changed does not tell what must be read"


class RemoteFiles:
    """What :class:`sources.git.GitSource` reads of a remote.

    A cursor is `{"commit", "after", "of"}`: of that commit everything up to the file *after* was read, under the
    settings *of*. That of an unfinished run of changes names as `since` the commit to begin again from. The last one
    of a run that found a link, or a Location to a file of another name, says `"indirect": true`.
    """

    def __init__(self, settings: SourceSettings, remote: Remote, reading: Reading) -> None:
        directory = None if settings.data_dir is None else settings.data_dir / "git"
        self._copy = Copy(directory, remote, settings.secret)
        self._size = settings.chunk_size
        self._subdir = remote.subdir
        self._reading = reading
        read = [remote.url, remote.ref, remote.subdir, settings.connection.get("documents")]
        self._of = hashlib.blake2b(json.dumps(read, default=str).encode(), digest_size=8).hexdigest()

    def pages(self, cursor: Cursor | None, stop: threading.Event) -> Generator[Page]:
        """Yield everything of one commit: that of *cursor*, or the newest. The last page says what `changes` needs.

        A page that goes on after *cursor* says again what could not be read before it.
        """
        if cursor is None:
            yield from self._newest(stop)
            return
        if "since" in cursor:
            raise CursorExpiredError("this cursor is not one of a run that reads everything")
        commit = self._commit(cursor, "commit")
        with closing(self._opened()) as repo:
            self._must_hold(repo, commit)
            try:
                yield from self._whole(repo, commit, str(cursor.get("after")))
            except DamagedCopyError:
                self._copy.discard()
                raise

    def changes(self, since: Cursor, stop: threading.Event) -> Generator[Page]:
        """Yield the files that differ between the commit of *since* and the newest, and cover them on the last page.

        What vanished from them and still stands in a file that is the same as before is yielded from there. Raises
        CursorExpiredError, also between two pages, where all must be read.
        """
        base = self._commit(since, "since" if "since" in since else "commit")
        if since.get("indirect"):
            raise CursorExpiredError(_INDIRECT)
        if self._copy.is_full():
            raise CursorExpiredError("the local copy of the repository has grown: it is made anew")
        commit = self._copy.fetch(stop)
        with closing(self._opened()) as repo:
            self._must_hold(repo, base)
            try:
                yield from self._changed(repo, base, commit)
            except DamagedCopyError:
                self._copy.discard()
                raise

    def _newest(self, stop: threading.Event) -> Iterator[Page]:
        for is_last_attempt in (False, True):
            commit, is_begun = self._copy.fetch(stop), False
            with closing(self._copy.open()) as repo:
                try:
                    for each in self._whole(repo, commit, None):
                        is_begun = True
                        yield each
                except DamagedCopyError:
                    self._copy.discard()
                    if is_begun or is_last_attempt:
                        raise
                else:
                    return

    def _whole(self, repo: Repo, commit: str, after: str | None) -> Iterator[Page]:
        one_pass = self._reading.over(TreeFiles(repo.object_store, commit, self._subdir))
        missed, found = ([], one_pass.whole()) if after is None else _rest(one_pass.whole(), after)
        last = after or ""
        for chunk, is_last in _marked(chunks(found, self._size)):
            last = chunk[-1].scope if chunk else last
            cursor: dict[str, Any] = {"commit": commit, "after": last, "of": self._of}
            if is_last and not one_pass.is_plain:
                cursor |= {"indirect": True}
            yield page([*missed, *chunk], cursor, doubts=one_pass.doubts() if is_last else ())
            missed = []

    def _changed(self, repo: Repo, base: str, commit: str) -> Iterator[Page]:
        store = repo.object_store
        before, after = TreeFiles(store, base, self._subdir), TreeFiles(store, commit, self._subdir)
        changed, removed = (list(filter(self._reading.reads, each)) for each in differing(store, before, after))
        one_pass = self._reading.over(after)
        found = self._with_rest(one_pass, changed, self._reading.over(before).some([*changed, *removed]), after)
        last = ""
        for chunk, is_last in _marked(chunks(found, self._size)):
            if not one_pass.is_plain:
                raise CursorExpiredError(_INDIRECT)
            last = chunk[-1].scope if chunk else last
            cursor = {"commit": commit, "after": last, "of": self._of}
            if is_last:
                yield page(chunk, cursor, covers=[shown(name) for name in [*changed, *removed]])
            else:
                yield page(chunk, cursor | {"since": base})

    def _with_rest(
        self, one_pass: Pass, changed: list[str], before: Iterator[Found], files: TreeFiles
    ) -> Iterator[Found]:
        """Yield what is in the files *changed*, then what was there *before* and now stands in other files alone."""
        kept = set[tuple[str, str, str]]()
        for each in one_pass.some(changed):
            kept.add(_ref(each))
            yield each
        if gone := {_ref(each) for each in before if isinstance(each, Item)} - kept:
            everything = self._reading.over(files).whole()
            yield from (each for each in everything if isinstance(each, Item) and _ref(each) in gone)

    def _commit(self, cursor: Cursor, key: str) -> str:
        commit = cursor.get(key)
        if not isinstance(commit, str) or cursor.get("of") != self._of:
            raise CursorExpiredError("where the files are read from, or how, is not what it was")
        return commit

    def _opened(self) -> Repo:
        if not self._copy.is_there():
            raise CursorExpiredError("the local copy of the repository is gone")
        return self._copy.open()

    def _must_hold(self, repo: Repo, commit: str) -> None:
        if not commit.isascii() or ObjectID(commit.encode()) not in repo.object_store:
            raise CursorExpiredError(f"the local copy of the repository does not hold commit {commit[:12]}")


def _rest(found: Iterator[Found], after: str) -> tuple[list[Found], Iterator[Found]]:
    """Return what could not be read up to the file *after*, and everything beyond it.

    Raises CursorExpiredError where there is no such file.
    """
    missed, is_reached = list[Found](), False
    for each in found:
        if is_reached and each.scope != after:
            return missed, chain([each], found)
        is_reached = is_reached or each.scope == after
        if not isinstance(each, Item):
            missed.append(each)
    if not is_reached and after:
        raise CursorExpiredError("the file after which to go on is not there")
    return missed, iter(())


def _marked(found: Iterator[list[Found]]) -> Iterator[tuple[list[Found], bool]]:
    """Yield each chunk, and whether it is the last; one that is empty where there is none."""
    chunk = next(found, [])
    for following in found:
        yield chunk, False
        chunk = following
    yield chunk, True


def _ref(found: Found) -> tuple[str, str, str]:
    """Return what makes two items speak of one entity."""
    entity = found.change.get("entity") if isinstance(found, Item) else None
    entity = entity if isinstance(entity, dict) else {}
    metadata = entity.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    named = (entity.get("kind"), metadata.get("namespace") or "default", metadata.get("name"))
    kind, namespace, name = (str(each).lower() for each in named)
    return kind, namespace, name
