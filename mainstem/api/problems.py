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
# RFC 9110's words; those of the library are others in each version of Python.
_TITLES: Final = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content too large"}


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


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    told, headers = str(error.detail), dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        if told == status.phrase:
            headers["Allow"] = _methods(request, headers.get("Allow", ""))
        told = f"this path takes {headers['Allow']}, and not {request.method}"
    elif status == HTTPStatus.NOT_FOUND and told == status.phrase:
        told = "the API has no such path"
    return answer(Problem(status, _TITLES.get(status, status.phrase.capitalize()), told), headers)


def _methods(request: Request, told: str) -> str:
    """Return what the path takes. *told*: what one of its routes takes, which is all that the router looks at."""
    path = getattr(request.scope.get("route"), "path_format", "")
    described = request.app.openapi()["paths"].get(path, {})
    return ", ".join(sorted(each.upper() for each in described)) or told


async def on_declined(_: Request, error: Exception) -> JSONResponse:
    """What cannot be done as things stand."""
    if isinstance(error, UnknownNameError):
        return answer(Problem(404, "Not found", str(error)))
    return answer(Problem(409, "Conflict", str(error)))


async def on_unexpected(_: Request, __: Exception) -> JSONResponse:
    """Tell nothing of it: what happened is for the log. This is answered outside of all that adds headers."""
    return answer(Problem(500, "Internal server error", "that was our fault; the log of the API tells more"), GUARDS)


async def on_bad_parameter(_: Request, error: Exception) -> JSONResponse:
    """A parameter of the query, the path or the headers that cannot be read. (Routes read their bodies themselves.)"""
    assert isinstance(error, RequestValidationError)
    faults = [{"at": ".".join(map(str, each["loc"])), "reason": each["msg"]} for each in error.errors()]
    return answer(Problem(400, "Bad request", "; ".join(f"{f['at']}: {f['reason']}" for f in faults), faults=faults))
