"""The files of one commit, read from its tree: nothing is ever checked out."""

import re
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from dulwich.diff_tree import tree_changes
from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree

from schemas.errors import NotFoundError, UnreadableAnswerError
from sources.file_names import as_regex
from sources.files import SKIPPED, Files, OutsideError, Unread

MAX_FILES: Final = 1_000_000
"""Of one tree: a few trees that hold each other many times over stand for more files than fit any memory."""
MAX_HOPS: Final = 40
"""Links that one name may lead through, as on Linux."""
_MAX_LINK: Final = 4_096
_TAGS: Final = 10


class DamagedCopyError(UnreadableAnswerError):
    """An object that should be there is missing or makes no sense."""


class TreeFiles(Files):
    """The files below a directory of a commit. Submodules are left out, links are followed within that directory.

    *store* holds all of the commit's objects. A name through a link is found when it is asked for by itself, not by a
    pattern.
    """

    def __init__(self, store: BaseObjectStore, commit: str, subdir: str = "") -> None:
        self._store = store
        self._trees: dict[ObjectID, dict[str, tuple[int, ObjectID]]] = {}
        self._names: list[str] | None = None
        self.root = commit_of(store, ObjectID(commit.encode())).tree
        for part in filter(None, subdir.split("/")):
            mode, sha = self._entries(self.root).get(part, (0, self.root))
            if not stat.S_ISDIR(mode):
                raise NotFoundError(f"connection.subdir: commit {commit[:12]} has no directory {subdir}")
            self.root = sha

    def listing(self) -> Iterator[str | Unread]:
        if self._names is None:
            self._names = sorted(self._walked())
        yield from self._names

    def real(self, name: str) -> str | None:
        at: list[str] = []
        rest, hops = name.split("/")[::-1], 0
        while rest:
            part = rest.pop()
            if part == "..":
                if not at:
                    raise OutsideError
                at.pop()
            elif part not in ("", "."):
                mode, sha = self._entry([*at, part])
                if not stat.S_ISLNK(mode):
                    at.append(part)
                    continue
                hops += 1
                target = self.blob(sha)[:_MAX_LINK].decode("utf-8", "surrogateescape")
                if target.startswith("/"):
                    raise OutsideError
                if hops > MAX_HOPS:
                    raise OSError("links that lead in a circle")
                rest += target.split("/")[::-1]
        return "/".join(at) if at and stat.S_ISREG(self._entry(at)[0]) else None

    def read(self, real: str, limit: int) -> bytes:
        return self.blob(self._entry(real.split("/"))[1])[:limit]

    def is_link(self, name: str) -> bool:
        try:
            return stat.S_ISLNK(self._entry(name.split("/"))[0])
        except OSError:
            return False

    def matching(self, pattern: str) -> Sequence[str]:
        if "*" in pattern:
            regex = re.compile(as_regex(pattern))
            return [name for name in self.listing() if isinstance(name, str) and regex.fullmatch(name)]
        return [pattern] if self._is_there(pattern) else []

    def blob(self, sha: ObjectID) -> bytes:
        """Return the content of a file or link."""
        found = stored(self._store, sha)
        if not isinstance(found, Blob):
            raise DamagedCopyError("an entry of a tree is not what its mode says")
        return found.data

    def _is_there(self, name: str) -> bool:
        try:
            return self.real(name) is not None
        except OutsideError:
            return True
        except OSError:
            return False

    def _walked(self) -> Iterator[str]:
        pending, count = [("", self.root)], 0
        while pending:
            above, tree = pending.pop()
            for name, (mode, sha) in self._entries(tree).items():
                count += 1
                if count > MAX_FILES:
                    raise UnreadableAnswerError(
                        f"the tree holds more than {MAX_FILES:,} files: name a connection.subdir"
                    )
                if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                    yield above + name
                elif stat.S_ISDIR(mode) and name not in SKIPPED:
                    pending.append((f"{above}{name}/", sha))

    def _entry(self, parts: list[str]) -> tuple[int, ObjectID]:
        """Return mode and object of a path in which no link is followed. Raises FileNotFoundError."""
        mode, sha = 0o40000, self.root
        for part in parts:
            if not stat.S_ISDIR(mode) or part not in self._entries(sha):
                raise FileNotFoundError
            mode, sha = self._entries(sha)[part]
        return mode, sha

    def _entries(self, sha: ObjectID) -> dict[str, tuple[int, ObjectID]]:
        known = self._trees.get(sha)
        if known is None:
            tree = stored(self._store, sha)
            if not isinstance(tree, Tree):
                raise DamagedCopyError("an entry of a tree is not what its mode says")
            known = {
                entry.path.decode("utf-8", "surrogateescape"): (entry.mode, entry.sha)
                for entry in tree.items()
                if b"/" not in entry.path and entry.path not in (b"", b".", b"..")
            }
            self._trees[sha] = known
        return known


def differing(store: BaseObjectStore, before: TreeFiles, after: TreeFiles) -> tuple[list[str], list[str]]:
    """Return the names of which file or link is new or another in *after*, and of those that are no longer there.

    Only what differs between the two trees is looked at.
    """
    changed, removed = set[str](), set[str]()
    try:
        found = list(tree_changes(store, before.root, after.root))
    except Exception as error:
        raise DamagedCopyError("the local copy of the repository is damaged") from error
    for change in found:
        for entry, names in ((change.old, removed), (change.new, changed)):
            if entry is not None and _is_file(entry.mode):
                names.add(entry.path.decode("utf-8", "surrogateescape"))
    return sorted(changed), sorted(removed - changed)


def commit_of(store: BaseObjectStore, sha: ObjectID) -> Commit:
    """Return the commit that *sha* is or, as a tag, points at. Raises NotFoundError where it is neither."""
    for _ in range(_TAGS):
        found = stored(store, sha)
        if isinstance(found, Commit):
            return found
        if not isinstance(found, Tag):
            break
        sha = found.object[1]
    raise NotFoundError(f"connection.ref: {sha.decode()[:12]} is no commit")


def stored(store: BaseObjectStore, sha: ObjectID) -> ShaFile:
    """Return an object. Raises DamagedCopyError: every one that is asked for should be there."""
    try:
        return store[sha]
    except Exception as error:
        raise DamagedCopyError("the local copy of the repository is damaged") from error


def _is_file(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
