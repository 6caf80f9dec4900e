"""The commits of a remote repository, kept on this machine between two runs; never a work tree.

Only the newest commit's files come over the wire, without its history. What is lost or damaged here is fetched anew.
"""

import fcntl
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from schemas.errors import MainstemError, SourceUnreachableError, UnreadableAnswerError
from sources.git_fetch import chosen, fetch
from sources.git_limits import Limits, StoppedError
from sources.git_settings import Remote
from sources.git_tree import DamagedCopyError, commit_of

MAX_PACKS: Final = 200
"""Each fetch of something new adds one; with more the copy is thrown away, so that it does not grow for ever."""

_KEPT: Final = Ref(b"refs/heads/mainstem")


class Copy:
    """The bare repository that belongs to one connector. Blocking; one thread at a time."""

    def __init__(self, directory: Path | None, remote: Remote, secret: Callable[[str], str]) -> None:
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="mainstem-git-"))
            weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)
        self._home = directory
        self._path = directory / "repository"
        self._unfinished = directory / "unfinished"
        self._origin = directory / "origin"
        self._remote = remote
        self._secret = secret

    def fetch(self, stop: threading.Event) -> str:
        """Bring the commit that `ref` names, and return its id. Raises a SourceError, ConfigError or StoppedError.

        A copy that was left in the midst of a fetch, is of another remote, or is damaged, is thrown away first.
        """
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            with self._locked():
                return self._brought_here(stop)
        except OSError as error:
            raise SourceUnreachableError(f"{self._home}: the local copy cannot be kept ({error.strerror})") from None

    def _brought_here(self, stop: threading.Event) -> str:
        if self._unfinished.exists() or not self._is_of_this_remote() or self.is_full():
            self._remove()
        if self._path.exists():
            try:
                return self._fetched(stop)
            except Exception as error:
                # Anything else is what dulwich makes of a damaged copy.
                if _is_told(error):
                    raise
                self._remove()
        try:
            return self._fetched(stop)
        except Exception as error:
            if _is_told(error) or isinstance(error, OSError):
                raise
            fault = type(error).__name__
            raise UnreadableAnswerError(f"{self._remote.url}: what came cannot be read ({fault})") from error

    def open(self) -> Repo:
        """Return the repository, to be closed. Raises UnreadableAnswerError where there is none that can be used."""
        try:
            return Repo(str(self._path))
        except Exception as error:
            raise UnreadableAnswerError(f"{self._remote.url}: the local copy is gone or damaged") from error

    def is_there(self) -> bool:
        """Whether it can be opened without a fetch."""
        return self._path.exists() and not self._unfinished.exists() and self._is_of_this_remote()

    def discard(self) -> None:
        """Let the next fetch begin anew: what was read of this copy makes no sense."""
        self._home.mkdir(parents=True, exist_ok=True)
        self._unfinished.touch()

    def is_full(self) -> bool:
        return len(list(self._path.glob("objects/pack/*.pack"))) > MAX_PACKS

    def _fetched(self, stop: threading.Event) -> str:
        """The marker outlives whatever ends in the midst, but for what leaves the copy as it was."""
        self._unfinished.touch()
        if not self._path.exists():
            Repo.init_bare(str(self._path), mkdir=True).close()
            self._origin.write_text(self._remote.url)
        repo = Repo(str(self._path))
        try:
            commit = self._brought(repo, Limits(stop=stop))
        except Exception as error:
            if _is_told(error):
                self._unfinished.unlink()
            raise
        finally:
            repo.close()
        self._unfinished.unlink()
        return commit

    def _brought(self, repo: Repo, limits: Limits) -> str:
        wanted: list[ObjectID] = []

        def wants(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:
            del depth
            wanted[:] = [chosen(refs, self._remote)]
            return [] if wanted[0] in repo.object_store else wanted

        fetch(self._remote, self._secret, limits, repo, wants)
        commit = commit_of(repo.object_store, wanted[0])
        # The boundary is drawn by hand: a repository on this machine does not say where it cut the history.
        repo.update_shallow({commit.id} if commit.parents else set(), set())
        repo.refs[_KEPT] = commit.id
        return commit.id.decode()

    def _is_of_this_remote(self) -> bool:
        try:
            return self._origin.read_text() == self._remote.url
        except (OSError, ValueError):
            return False

    def _remove(self) -> None:
        shutil.rmtree(self._path, ignore_errors=True)
        if self._path.exists():
            raise SourceUnreachableError(f"{self._path} cannot be removed: give this process the right to write there")
        self._unfinished.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._home / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise SourceUnreachableError(f"{self._home} is in use: another run is fetching there") from None
            yield


def _is_told(error: Exception) -> bool:
    """Whether it says what the remote did, or that nobody waits: the copy is as it was."""
    return isinstance(error, MainstemError | StoppedError) and not isinstance(error, DamagedCopyError)
