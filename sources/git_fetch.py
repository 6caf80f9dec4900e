"""One fetch: the client for the kind of address, the commit that is wanted, and dulwich's errors as ours."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote

import paramiko
from dulwich.client import GitClient, LocalGitClient, SSHGitClient
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from schemas.errors import NotFoundError, SourceUnreachableError, UnreadableAnswerError
from sources.git_http import HttpClient
from sources.git_limits import Limits
from sources.git_settings import Remote
from sources.git_ssh import KeyVendor

Wants = Callable[..., list[ObjectID]]

_SHA: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def fetch(remote: Remote, secret: Callable[[str], str], limits: Limits, target: Repo, wants: Wants) -> None:
    """Bring what *wants* chooses of the remote's refs, without its history.

    Raises a SourceError, ConfigError or StoppedError for what the remote does; anything else is *target*'s fault.
    """
    with _told(remote, limits):
        try:
            _fetch(remote, secret, limits, target, wants, depth=1)
        except GitProtocolError as error:
            if "shallow" not in str(error):
                raise
            _fetch(remote, secret, limits, target, wants, depth=None)


def chosen(refs: Mapping[Ref, ObjectID], remote: Remote) -> ObjectID:
    """Return what `ref` names. Raises NotFoundError."""
    if remote.ref is None:
        if (head := refs.get(Ref(b"HEAD"))) is None:
            raise NotFoundError(f"{remote.url} has no HEAD: it is empty, or name a branch in connection.ref")
        return head
    for name in _names(remote.ref):
        if (found := refs.get(name)) is not None:
            return found
    if _SHA.fullmatch(remote.ref):
        return ObjectID(remote.ref.encode())
    raise NotFoundError(f"{remote.url} has no branch and no tag of the name in connection.ref, {remote.ref}")


def _fetch(
    remote: Remote, secret: Callable[[str], str], limits: Limits, target: Repo, wants: Wants, *, depth: int | None
) -> None:
    def progress(_: object) -> None:
        limits.take(b"")

    prefixes = [b"HEAD"] if remote.ref is None else list[bytes](_names(remote.ref))
    client, path = _client(remote, secret, limits)
    try:
        client.fetch(path, target, determine_wants=wants, progress=progress, depth=depth, ref_prefix=prefixes)
    finally:
        client.close()


def _client(remote: Remote, secret: Callable[[str], str], limits: Limits) -> tuple[GitClient, str]:
    if remote.scheme == "file":
        return LocalGitClient(), unquote(remote.path)
    if remote.scheme != "ssh":
        return HttpClient(remote, secret, limits), ""
    assert remote.auth is not None
    vendor = KeyVendor(remote, remote.auth, secret, limits)
    return _KeyClient(remote.host, remote.port, remote.user, vendor=vendor, quiet=True), unquote(remote.path)


class _KeyClient(SSHGitClient):
    """Closes its connections also where dulwich leaves them open, as after a host that hung up."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._protocols: list[Any] = []

    def _connect(self, *arguments: Any, **options: Any) -> Any:
        found = super()._connect(*arguments, **options)
        self._protocols.append(found[0])
        return found

    def close(self) -> None:
        for each in self._protocols:
            each.close()


def _names(ref: str) -> list[Ref]:
    if ref == "HEAD" or ref.startswith("refs/"):
        return [Ref(ref.encode())]
    return [Ref(f"refs/{kind}/{ref}".encode()) for kind in ("heads", "tags")]


@contextmanager
def _told(remote: Remote, limits: Limits) -> Iterator[None]:
    """The other side's own words are left out: nobody knows what is in them."""
    try:
        yield
    except NotGitRepository:
        raise NotFoundError(f"{remote.url} is no Git repository") from None
    except HangupException:
        if limits.taken == 0:
            raise NotFoundError(
                f"{remote.url}: the host let us in and hung up: the path is wrong, or connection.auth may not see it"
            ) from None
        raise SourceUnreachableError(f"{remote.url} broke the answer off") from None
    except KeyError as error:
        # A repository on this machine looks the wanted commit up; any other key is not the remote's to miss.
        if remote.ref is None or error.args != (remote.ref.encode(),):
            raise
        raise _no_commit(remote) from None
    except GitProtocolError as error:
        if isinstance(error.__cause__, OSError):
            raise _broken(remote, error.__cause__) from None
        if remote.ref is not None and _SHA.fullmatch(remote.ref):
            raise _no_commit(remote) from None
        fault = type(error).__name__
        raise UnreadableAnswerError(f"{remote.url} ended the fetch by an error of Git's protocol ({fault})") from None
    except (ConnectionError, TimeoutError, EOFError, paramiko.SSHException) as error:
        raise SourceUnreachableError(
            f"{remote.url} broke off, or was silent too long ({type(error).__name__})"
        ) from None


def _no_commit(remote: Remote) -> NotFoundError:
    return NotFoundError(f"{remote.url} does not give the commit of connection.ref, {remote.ref}")


def _broken(remote: Remote, error: Exception) -> SourceUnreachableError:
    return SourceUnreachableError(f"{remote.url} broke off, or was silent too long ({type(error).__name__})")
