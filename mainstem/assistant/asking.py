"""Asking the HTTP API. Only GET is ever sent: what a tool does can change nothing."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx2

TIMEOUT_SECONDS: Final = 20.0
_TOLD: Final = 400
_UNKNOWN_CALLER: Final = (
    "the API asks for a token that holds: `mainstem tokens create --scope read` makes one; give it in"
)
_UNAUTHORIZED, _NOT_FOUND = 401, 404


class UnansweredError(Exception):
    """Why there is no answer: a sentence for the model. *candidates* are references that may have been meant."""

    def __init__(self, sentence: str, *, status: int = 0, title: str = "", candidates: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.status, self.title, self.candidates = status, title, candidates

    @property
    def is_unknown(self) -> bool:
        return self.status == _NOT_FOUND


class Asking:
    """The API at *url*. *remedy* says where a token is to be given."""

    def __init__(self, url: str, *, remedy: str) -> None:
        self._url = url.rstrip("/")
        self._remedy = remedy
        self._client = httpx2.AsyncClient(base_url=self._url, timeout=TIMEOUT_SECONDS)

    async def get(self, token: str | None, *steps: str, **query: Any) -> dict[str, Any]:
        """Return the answer of `/v1/STEPS`, with what *query* has that is not None. Raises UnansweredError."""
        path = "/".join(quote(step, safe="") for step in ("v1", *steps))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        given = {name: value for name, value in query.items() if value is not None}
        try:
            answer = await self._client.get(f"/{path}", params=given, headers=headers)
        except httpx2.TimeoutException:
            raise UnansweredError(f"the Mainstem API at {self._url} did not answer in time; try again") from None
        except httpx2.HTTPError as error:
            why = type(error).__name__
            raise UnansweredError(
                f"the Mainstem API at {self._url} cannot be reached ({why}): is it running?"
            ) from None
        body = _document(answer)
        if answer.is_success and body is not None:
            return body
        raise self._problem(answer.status_code, body)

    async def close(self) -> None:
        await self._client.aclose()

    def _problem(self, status: int, body: Mapping[str, Any] | None) -> UnansweredError:
        if status == _UNAUTHORIZED:
            return UnansweredError(f"{_UNKNOWN_CALLER} {self._remedy}", status=status)
        if body is None or not isinstance(body.get("detail"), str):
            return UnansweredError(f"what answers at {self._url} is no Mainstem API (status {status})")
        candidates = tuple(map(str, body.get("candidates", ())))
        at = f" (at position {body['position']})" if "position" in body else ""
        told = f"{body['detail'][:_TOLD]}{at}"
        return UnansweredError(told, status=status, title=str(body.get("title")), candidates=candidates)


def _document(answer: httpx2.Response) -> dict[str, Any] | None:
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
