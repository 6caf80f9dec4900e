"""Git over HTTP: dulwich's client, with an answer's status told as the error it is and a token for one origin alone."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urljoin

import urllib3
from dulwich.client import Urllib3HttpGitClient
from urllib3.exceptions import HTTPError, SSLError

from schemas.errors import (
    AccessDeniedError,
    ConfigError,
    NotFoundError,
    RateLimitedError,
    SourceError,
    SourceUnreachableError,
    UnreadableAnswerError,
)
from sources.git_limits import CONNECT_SECONDS, SILENCE_SECONDS, Limits
from sources.git_settings import Auth, Remote
from sources.http import retry_after

_REDIRECTS: Final = 5
_MOVED: Final = frozenset({301, 302, 307, 308})
_DENIED: Final = (AccessDeniedError, "the token of connection.auth is missing, wrong, or may not read this")
_GONE: Final = (NotFoundError, "connection.url is wrong, or connection.auth may not see the repository")
_ELSEWHERE: Final = (NotFoundError, "the repository moved; write its new address in connection.url")
_REFUSALS: Final[dict[int, tuple[type[SourceError], str]]] = {
    401: _DENIED,
    403: _DENIED,
    404: _GONE,
    410: _GONE,
    **dict.fromkeys(_MOVED, _ELSEWHERE),
}


class HttpClient(Urllib3HttpGitClient):
    """Fetches over HTTP or HTTPS. The certificate is always checked.

    A redirect is followed within the origin of the address alone, so that neither the token nor a request reaches a
    host that the configuration does not name.
    """

    def __init__(self, remote: Remote, secret: Callable[[str], str], limits: Limits) -> None:
        user, password = credentials(remote.auth, secret)
        super().__init__(remote.url, username=user, password=password, quiet=True)
        self._remote_url = remote.url
        self._limits = limits

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,  # noqa: FBT001, FBT002 - dulwich's own signature
    ) -> tuple[Any, Callable[[int], bytes]]:
        del raise_for_status
        asked = url
        for _ in range(_REDIRECTS):
            answer = self._asked(url, headers, data)
            moved = answer.headers.get("Location") if answer.status in _MOVED and data is None else None
            if moved is None:
                break
            answer.close()
            url = urljoin(url, moved)
        if (error := refusal(answer, self._remote_url)) is not None:
            answer.close()
            raise error
        told: Any = answer
        told.content_type = answer.headers.get("Content-Type", "")
        told.redirect_location = url if url != asked else ""
        if not told.content_type.startswith("application/x-git-"):
            # Anything else, such as a page to log in, would be taken for a server of files.
            answer.close()
            raise UnreadableAnswerError(f"{self._remote_url} answers with something else than Git's protocol")
        return told, self._reading(answer)

    def _asked(
        self, url: str, headers: dict[str, str] | None, data: bytes | Iterator[bytes] | None
    ) -> urllib3.BaseHTTPResponse:
        if self._origin(url) != self._origin(self._base_url):
            raise NotFoundError(f"{self._remote_url} leads to another host: write its new address in connection.url")
        sent = {**self.pool_manager.headers, **(headers or {}), "Pragma": "no-cache"}
        if self._auth_header is not None:
            sent["authorization"] = self._auth_header
        try:
            return self.pool_manager.request(
                "GET" if data is None else "POST",
                url,
                body=data,
                headers=sent,
                preload_content=False,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS),
            )
        except HTTPError as error:
            raise _broken(error, self._remote_url) from None

    def _reading(self, answer: urllib3.BaseHTTPResponse) -> Callable[[int], bytes]:
        def read(size: int) -> bytes:
            try:
                return self._limits.take(answer.read(size))
            except HTTPError as error:
                raise _broken(error, self._remote_url) from None

        return read


def credentials(auth: Auth | None, secret: Callable[[str], str]) -> tuple[str | None, str | None]:
    """Return user and password. Raises ConfigError for a token that no header can hold, without its text."""
    if auth is None:
        return None, None
    token = secret(auth.secret_ref).strip()
    if not token.isascii() or not token.isprintable() or not token:
        raise ConfigError(f"the secret {auth.secret_ref} is no token: it is empty or has other characters than ASCII's")
    return auth.username, token


def refusal(answer: urllib3.BaseHTTPResponse, url: str) -> SourceError | None:
    """Return the error that a status means, None where there is none."""
    status = answer.status
    if status == HTTPStatus.OK:
        return None
    told = f"{url} answered {status}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimitedError(f"{told}: too many requests", retry_after(answer.headers, datetime.now(UTC)))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return SourceUnreachableError(f"{told}: the server has a fault of its own; the run is repeated")
    kind, remedy = _REFUSALS.get(status, (UnreadableAnswerError, "no answer of a Git server"))
    return kind(f"{told}: {remedy}")


def _broken(error: HTTPError, url: str) -> SourceUnreachableError:
    """The library's own text is left out: it may quote the request."""
    if isinstance(error, SSLError):
        return SourceUnreachableError(
            f"{url}: the server's certificate is not trusted; SSL_CERT_FILE may name the authority that signed it"
        )
    return SourceUnreachableError(f"{url} does not answer, or broke the answer off ({type(error).__name__})")
