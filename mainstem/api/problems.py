"""Errors as RFC 9457 problem details."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mainstem.api.headers import GUARDS
from schemas.errors import UnknownNameError

_PASSING: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """An answer that is no success: *status*, a *title* that is always the same for its kind, and a *detail*."""

    def __init__(self, status: int, title: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.more = status, title, detail, more


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    body = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        **problem.more,
    }
    return JSONResponse(body, problem.status, headers=dict(headers or {}), media_type="application/problem+json")


async def on_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    headers = {"Retry-After": "5"} if error.status in _PASSING else None
    return answer(error, headers)


async def on_http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    problem = Problem(error.status_code, HTTPStatus(error.status_code).phrase.capitalize(), str(error.detail))
    return answer(problem, dict(error.headers) if error.headers else None)


async def on_declined(_: Request, error: Exception) -> JSONResponse:
    """What cannot be done as things stand."""
    if isinstance(error, UnknownNameError):
        return answer(Problem(404, "Not found", str(error)))
    return answer(Problem(409, "Conflict", str(error)))


async def on_unexpected(_: Request, __: Exception) -> JSONResponse:
    """Tell nothing of it: what happened is for the log. This is answered outside of all that adds headers."""
    return answer(Problem(500, "Internal server error", "that was our fault; the log of the API tells more"), GUARDS)


async def on_bad_parameter(_: Request, error: Exception) -> JSONResponse:
    """A parameter of the query or the path that cannot be read is 400, a body 422."""
    assert isinstance(error, RequestValidationError)
    faults = [{"at": ".".join(map(str, each["loc"])), "reason": each["msg"]} for each in error.errors()]
    in_body = any(each["loc"][0] == "body" for each in error.errors())
    status, title = (422, "Unprocessable content") if in_body else (400, "Bad request")
    return answer(Problem(status, title, "; ".join(f"{f['at']}: {f['reason']}" for f in faults), faults=faults))
