"""The protocol of the module in Backstage: one request, one answer, and what an answer asks for."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx2
import orjson

from schemas.errors import Retriable
from sinks.backstage.circuit import Pace

BASE: Final = "/api/catalog/mainstem"
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
MAX_WAIT_SECONDS: Final = 3_600.0

_NO_MODULE: Final = (
    "is the module installed there, and does it have this shard? compare sinks.backstage.shards with its configuration"
)


class AwayError(Retriable):
    """Backstage did not do what was asked, and may do so later."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class RejectedError(Exception):
    """The module did not take the body as a whole: malformed, or too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of what was sent, by reference in lower case."""

    applied: frozenset[str]
    removed: frozenset[str]
    refused: Mapping[str, str]
    conflicts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatus:
    """What Backstage says of one shard. *entities*: how many it holds, None where it cannot say."""

    hash: str | None
    entities: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """*instance* is another one after every start of Backstage."""

    instance: str
    shards: Mapping[int, ShardStatus]


class BackstageClient:
    """Requests below one address. Redirects are not followed: the token goes nowhere else."""

    def __init__(self, base_url: str, headers: Callable[[], Mapping[str, str]], pace: Pace) -> None:
        self._base_url = base_url
        self._headers = headers
        self._total = pace.total_seconds
        connect = min(10.0, pace.read_seconds)
        timeout = httpx2.Timeout(pace.read_seconds, connect=connect)
        self._patient = httpx2.Timeout(pace.total_seconds, connect=connect)
        self._client = httpx2.Client(timeout=timeout, follow_redirects=False)

    def status(self) -> Status:
        """Raises AwayError."""
        told = self._asked("GET", "/status", None)
        try:
            shards = {_number(each["shard"]): _shard_status(each) for each in told["shards"]}
            return Status(instance=str(told["instance"]), shards=shards)
        except (KeyError, TypeError, ValueError):
            raise AwayError(f"{self._base_url}{BASE}/status answered with something that is no status") from None

    def change(self, shard: int, upserts: Iterable[bytes], removals: Iterable[str]) -> Answer:
        """Send a delta: descriptors as JSON, references. Raises AwayError, RejectedError."""
        body = b'{"shard":%d,"upserts":[%b],"removals":%b}' % (shard, b",".join(upserts), orjson.dumps([*removals]))
        return self._answer(self._asked("POST", "/changes", body))

    def put(self, shard: int, entities: Iterable[bytes], content_hash: str) -> Answer:
        """Replace a shard as a whole. Raises AwayError, RejectedError."""
        body = b'{"entities":[%b],"hash":%b}' % (b",".join(entities), orjson.dumps(content_hash))
        return self._answer(self._asked("PUT", f"/shards/{shard}", body))

    def close(self) -> None:
        self._client.close()

    def _asked(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        address = f"{self._base_url}{BASE}{path}"
        headers = {"accept": "application/json", "content-type": "application/json", **self._headers()}
        try:
            timeout = self._patient if method == "PUT" else self._client.timeout
            with self._client.stream(method, address, content=body, headers=headers, timeout=timeout) as response:
                _refuse_failure(address, response)
                told = orjson.loads(self._body(address, response))
        except httpx2.TimeoutException:
            raise AwayError(f"{address} was silent for too long, or let nobody connect") from None
        except httpx2.HTTPError as error:
            # The class alone: the text of some errors holds what was received.
            raise AwayError(f"the connection to {address} failed or broke ({type(error).__name__})") from None
        except ValueError:
            raise AwayError(f"{address} answered with something that is no JSON") from None
        if not isinstance(told, dict):
            raise AwayError(f"{address} answered with JSON that is no object")
        return told

    def _body(self, address: str, response: httpx2.Response) -> bytes:
        body, until = bytearray(), time.monotonic() + self._total
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise AwayError(f"{address} answered with more than {MAX_ANSWER_BYTES:,} bytes")
            if time.monotonic() > until:
                raise AwayError(f"{address} did not answer in full within {self._total:g} s")
        return bytes(body)

    def _answer(self, told: Mapping[str, Any]) -> Answer:
        try:
            return Answer(
                applied=frozenset(ref.lower() for ref in told["applied"]),
                removed=frozenset(ref.lower() for ref in told["removed"]),
                refused=_reasons(told["refused"]),
                conflicts=_reasons(told["conflicts"]),
            )
        except (KeyError, TypeError, AttributeError):
            raise AwayError(f"{self._base_url}{BASE} answered without saying what became of the entities") from None


def _reasons(told: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {each["entityRef"].lower(): str(each.get("reason") or "no reason given") for each in told}


def _shard_status(told: Mapping[str, Any]) -> ShardStatus:
    found, count = told.get("hash"), told.get("entities")
    return ShardStatus(
        hash=found if isinstance(found, str) else None, entities=None if count is None else _number(count)
    )


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError
    return value


def _refuse_failure(address: str, response: httpx2.Response) -> None:
    status = response.status_code
    told = f"{address} answered with status {status}"
    if response.is_success:
        return
    if status in {400, 413}:
        raise RejectedError(told)
    if status in {401, 403}:
        raise AwayError(f"{told}: check sinks.backstage.auth, and that Backstage knows the token")
    if status == 404:  # noqa: PLR2004 - not found
        raise AwayError(f"{told}: {_NO_MODULE}")
    if status in {429, 503}:
        raise AwayError(f"{told}: it is not ready for more", _retry_after(response.headers))
    if response.is_redirect:
        raise AwayError(
            f"{told}, a redirect, which is not followed: name the final address in sinks.backstage.base_url"
        )
    raise AwayError(f"{told}, which is no success")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds the server asks to be left alone, capped; by its own clock where it tells it."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said), MAX_WAIT_SECONDS)
    until = _http_date(said)
    if until is None:
        return None
    seconds = (until - (_http_date(headers.get("date", "")) or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS)


def _http_date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
