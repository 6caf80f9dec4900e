"""The HTTP client that sources share: every answer that is none is an error of the branch `SourceError`."""

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import Any, Final, Never, Self

import httpx2
import orjson
import stamina
import structlog
from stamina.instrumentation import PrometheusOnRetryHook, RetryDetails, set_on_retry_hooks

from schemas.errors import (
    AccessDeniedError,
    CursorExpiredError,
    NotFoundError,
    RateLimitedError,
    SourceError,
    SourceUnreachableError,
    UnreadableAnswerError,
)
from sources.base import MAX_RETRY_AFTER_SECONDS, Retry

log = structlog.get_logger(__name__)

SLEPT_THROUGH_SECONDS: Final = 60.0
"""A longer `Retry-After` is not waited for here: the run ends, and the next one is planned after it."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 5

HeaderFactory = Callable[[], Mapping[str, str]]
"""Asked before every attempt, in a thread: a token that is fetched anew can be rotated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one attempt may take. Without the total, a server that sends a byte a second would hold a run for ever."""

    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    total_seconds: float = 120.0
    max_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered with a status of success."""

    address: str
    """Where it was asked for, without query and user: fit for a message."""
    headers: httpx2.Headers
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON. Raises UnreadableAnswerError."""
        try:
            return _parse(self.body)
        except (ValueError, RecursionError):
            raise UnreadableAnswerError(f"{self.address} {self._told()}") from None

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises UnreadableAnswerError."""
        value = self.json()
        if not isinstance(value, dict):
            raise UnreadableAnswerError(f"{self.address} answered with JSON that is no object")
        return value

    def _told(self) -> str:
        if not self.body.strip():
            return "answered with nothing where JSON was promised"
        if "html" in self.headers.get("content-type", "") or self.body.lstrip()[:1] == b"<":
            return "answered with a web page, not with JSON: is it the API's address, or is there a login before it?"
        return "answered with something that is no JSON, or only the beginning of it"


class HttpClient:
    """GET requests below one address, tried again as *retry* says. Use it as an async context manager.

    A redirect is followed within the origin of *base_url* alone: the headers, and a token in them, go nowhere else.
    """

    def __init__(
        self, base_url: str, *, retry: Retry | None = None, headers: HeaderFactory = dict, limits: Limits | None = None
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._retry = retry or Retry()
        self._headers = headers
        self._limits = limits or Limits()
        timeout = httpx2.Timeout(self._limits.read_seconds, connect=self._limits.connect_seconds)
        self._client = httpx2.AsyncClient(timeout=timeout, follow_redirects=False, verify=_trusted())

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def get_json(
        self, path: str, params: Mapping[str, str | int] | None = None, *, expired: frozenset[int] = frozenset()
    ) -> Any:
        """Return the JSON at *path* (quoted, beginning with `/`) below the base address. See :meth:`get`."""
        return (await self.get(path, params, expired=expired)).json()

    async def get(
        self, path: str, params: Mapping[str, str | int] | None = None, *, expired: frozenset[int] = frozenset()
    ) -> Answer:
        """Return what is at *path*, or raise an error of the branch SourceError once no further attempt is due.

        *expired*: the statuses by which this system says that a cursor in *params* leads nowhere any more.
        """
        where = f"{self._base_url}{path}"
        if params and "?" not in where:
            url = httpx2.URL(where, params=dict(params))
        else:
            url = httpx2.URL(where).copy_merge_params(dict(params or {}))
        try:
            return await self._attempt(url, expired)
        except _FailedError as failed:
            return await self._again(url, expired, failed)

    async def _again(self, url: httpx2.URL, expired: frozenset[int], first: "_FailedError") -> Answer:
        """Go on after the *first* attempt, which failed."""
        failed = [first]
        try:
            async for attempt in stamina.retry_context(
                on=_Waits(self._retry), attempts=max(1, self._retry.attempts), timeout=None
            ):
                with attempt:
                    if failed:
                        raise failed.pop()
                    return await self._attempt(url, expired)
        except _FailedError as last:
            raise last.error from None
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, url: httpx2.URL, expired: frozenset[int]) -> Answer:
        address = _address(url)
        headers = {} if self._headers is dict else await asyncio.to_thread(self._headers)
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                return await self._follow(url, headers, expired)
        except TimeoutError:
            told = f"{address} did not answer in full within {self._limits.total_seconds:g} s"
            raise _FailedError("timeout", SourceUnreachableError(told)) from None
        except httpx2.TimeoutException:
            told = f"{address} was silent for too long, or let nobody connect"
            raise _FailedError("timeout", SourceUnreachableError(told)) from None
        except httpx2.TransportError as error:
            # The class alone: the text of some errors holds what was received.
            told = f"the connection to {address} failed or broke ({type(error).__name__})"
            raise _FailedError("connection", SourceUnreachableError(told)) from None
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise UnreadableAnswerError(f"{address} answered what cannot be read ({type(error).__name__})") from None

    async def _follow(self, url: httpx2.URL, headers: Mapping[str, str], expired: frozenset[int]) -> Answer:
        asked, address = url, _address(url)
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._client.stream("GET", asked, headers={"accept": "application/json", **headers}) as response:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or location is None:
                    _refuse_failure(address, response, expired)
                    body = await self._body(address, response)
                    return Answer(address=address, headers=response.headers, body=body)
            asked = asked.join(location)
            if _origin(asked) != _origin(url):
                raise UnreadableAnswerError(
                    f"{address} redirects to another host, port or scheme, where nothing is sent to; "
                    "let the configuration name the final address"
                )
        raise UnreadableAnswerError(f"{address} redirects more than {_MAX_REDIRECTS} times")

    async def _body(self, address: str, response: httpx2.Response) -> bytes:
        pieces, size = list[bytes](), 0
        async for piece in response.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > self._limits.max_bytes:
                raise UnreadableAnswerError(f"{address} answered with more than {self._limits.max_bytes:,} bytes")
        return b"".join(pieces)


class _FailedError(Exception):
    """An attempt that failed in a way that `retry.on` has a name for."""

    def __init__(self, kind: str, error: SourceError) -> None:
        super().__init__(kind, error)
        self.kind = kind
        self.error = error


class _Waits:
    """Decides, attempt by attempt, whether one more is due and after how many seconds."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._failures = 0

    def __call__(self, error: Exception) -> bool | float:
        if not isinstance(error, _FailedError) or error.kind not in self._retry.on:
            return False
        asked_for = getattr(error.error, "retry_after", None) or 0.0
        if asked_for > SLEPT_THROUGH_SECONDS:
            return False
        backoff = self._retry.backoff_seconds or (0.0,)
        wait = backoff[min(self._failures, len(backoff) - 1)]
        self._failures += 1
        return float(max(wait, asked_for))


def told(details: RetryDetails) -> str:
    """Return what went wrong with an attempt, and when the next one is, as a sentence."""
    error = details.caused_by
    reason = error.error if isinstance(error, _FailedError) else type(error).__name__
    return f"{reason}; it is tried again in {details.wait_for:.1f} s"


def _log_repeat(details: RetryDetails) -> None:
    log.warning("request.repeated", reason=told(details), attempt=details.retry_num)


# What would be logged otherwise names arguments, which may hold what nobody is to read.
set_on_retry_hooks([PrometheusOnRetryHook, _log_repeat])


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return for how many seconds the server asks to be left alone, capped; None where it does not say.

    A date is compared with the server's own clock where the answer tells it, so that a wrong clock does no harm.
    """
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said), MAX_RETRY_AFTER_SECONDS)
    until = _http_date(said)
    if until is None:
        return None
    seconds = (until - (_http_date(headers.get("date", "")) or now)).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def _http_date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _refuse_failure(address: str, response: httpx2.Response, expired: frozenset[int]) -> None:
    status = response.status_code
    told = f"{address} answered with status {status}"
    if status in expired:
        raise CursorExpiredError(f"{told}: the place to go on from is no longer known there")
    asked_for = retry_after(response.headers, datetime.now(UTC)) if status in {429, 503} else None
    if status == 429 or asked_for is not None:  # noqa: PLR2004 - too many requests
        wait = "" if asked_for is None else f", to be asked again in {asked_for:.0f} s"
        raise _FailedError("rate_limit", RateLimitedError(f"{told}: too many requests{wait}", asked_for))
    if status >= 500:  # noqa: PLR2004 - a server's own error
        raise _FailedError("server_error", SourceUnreachableError(f"{told}: the server failed"))
    if status == 408:  # noqa: PLR2004 - request timeout
        raise _FailedError("timeout", SourceUnreachableError(f"{told}: the request took too long"))
    if status in {401, 403}:
        raise AccessDeniedError(f"{told}: check that the secret is there, is valid and may read this")
    if status == 404:  # noqa: PLR2004 - not found
        raise NotFoundError(f"{told}: check the address in the configuration")
    if not response.is_success:
        raise UnreadableAnswerError(f"{told}, which this client does not expect")


@cache
def _trusted() -> ssl.SSLContext:
    """Made once: reading the certificates takes 30 ms, during which no other connector would get on."""
    return httpx2.create_ssl_context()


def _address(url: httpx2.URL) -> str:
    return f"{_origin(url)}{url.path}"


def _origin(url: httpx2.URL) -> str:
    default = {"http": 80, "https": 443}.get(url.scheme)
    port = "" if url.port in {None, default} else f":{url.port}"
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}{port}"


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # One lone surrogate in one entity makes orjson refuse a whole page; here it is refused alone, later.
        return json.loads(body, parse_constant=_refuse_constant)


def _refuse_constant(_: str) -> Never:
    raise ValueError("infinity and NaN are no numbers in JSON")
