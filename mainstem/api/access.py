"""Who calls, and whether they may: the token of a request, the scope of its route, and the log of what changes."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import psycopg
import structlog
from fastapi import Request, Response
from psycopg_pool import AsyncConnectionPool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainstem.access import audit, scopes, tenants
from mainstem.access.gate import ANYBODY, Caller, bearer
from mainstem.access.jwt import KeysUnavailableError
from mainstem.api.description import READS, SCOPE
from mainstem.api.problems import Problem, answer, on_problem
from mainstem.configuration.values import is_loopback

_OPEN: Final = ("/livez", "/readyz", "/metrics")
LOCATIONS: Final = "/backstage/v1/locations/"
"""Below it are the files for Backstage, which are guarded by a secret of their own."""
_NOTHING_SENT: Final = "no token was sent; send one as Authorization: Bearer TOKEN; `mainstem tokens create` makes one"
# The same words for each of these: which of them it is would tell whoever guesses tokens what is one.
_NONE_THAT_HOLDS: Final = (
    "the token that was sent does not hold: it is mistyped, revoked, expired or made for another API;"
    " `mainstem tokens list` shows which there are"
)
_NOTED: Final = "_noted_of_its_body"

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

log = structlog.get_logger(__name__)


class Identified:
    """Lets pass whom the gate knows, and notes what became of what they changed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.caller = request.state.audited = None
        if not _is_open(request):
            found = await _caller(request)
            if isinstance(found, Response):
                await found(scope, receive, send)
                return
            request.state.caller = found
        await self._pass(request, receive, send)

    async def _pass(self, request: Request, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                await settle(message["status"])
            await send(message)

        async def settle(status: int) -> None:
            row, request.state.audited = request.state.audited, None
            if row is not None:
                await _settle(request.app.state.pool, caller_of(request).tenant, row, status)

        try:
            # The end of what was changed is noted before the caller is told of it.
            await self._app(request.scope, receive, noted)
        finally:
            await settle(500)


async def _caller(request: Request) -> Caller | Response:
    """Return who sends *request*, or the answer to somebody who may not."""
    state = request.app.state
    try:
        caller: Caller | None = await state.gate.caller(state.pool, request.headers.get("authorization", ""))
    except psycopg.Error:
        return await on_problem(request, Problem(503, "Service unavailable", "the database does not answer; try again"))
    except KeysUnavailableError:
        told = "the keys of api.jwt cannot be had; try again"
        return await on_problem(request, Problem(503, "Service unavailable", told))
    if caller is None:
        return _unknown(request.headers.get("authorization", ""))
    if caller is ANYBODY and (led_by := _astray(request)):
        return answer(Problem(403, "Forbidden", led_by))
    return caller


def _unknown(authorization: str) -> Response:
    # RFC 6750, 3.1: whoever sent no token is told of no error.
    told, error = (_NONE_THAT_HOLDS, ' error="invalid_token"') if bearer(authorization) else (_NOTHING_SENT, "")
    return answer(Problem(401, "Unauthorized", told), {"WWW-Authenticate": f"Bearer{error}"})


async def authorise(request: Request) -> None:
    """Refuse a caller whose token lacks the scope of the route. What is more than reading is in the log before it
    happens. Raises Problem 403.
    """
    caller: Caller | None = request.state.caller
    if caller is None:
        assert _is_open(request)
        return
    route = request.scope["route"]
    scope = (route.openapi_extra or {}).get(SCOPE, scopes.READ if request.method in READS else None)
    if scope not in caller.scopes:
        raise Problem(403, "Forbidden", f"the token has not the scope {scope}")
    if scope == scopes.READ:
        return
    parameters = {**request.path_params, **request.query_params}
    try:
        if read := getattr(route.endpoint, _NOTED, None):
            parameters |= read(await request.body())
    finally:
        # Also of a body that is too large or never ends.
        async with tenants.inside(request.app.state.pool, caller.tenant) as connection:
            request.state.audited = await audit.begin(
                connection, caller, method=request.method, route=route.path_format, parameters=parameters
            )


def noting(read: Callable[[bytes], Mapping[str, Any]]) -> Callable[[Endpoint], Endpoint]:
    """Let the log tell of a route what *read* returns of a body, beside its parameters. It must not raise."""

    def noted(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _NOTED, read)
        return endpoint

    return noted


def needs(scope: str) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that needs *scope*."""
    return {SCOPE: scope}


def caller_of(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _is_open(request: Request) -> bool:
    """Whether the path needs no token."""
    path: str = request.scope["path"]
    return path in _OPEN or path.startswith(LOCATIONS)


def _astray(request: Request) -> str | None:
    """Return why a request without a token comes from a web page of somebody else: a browser on this machine reaches
    loopback, whatever page it shows.
    """
    host = _hostname(f"//{request.headers.get('host', '')}")
    if not is_loopback(host):
        return "without tokens only 127.0.0.1, ::1 and localhost are answered, and the header Host names another"
    origin = request.headers.get("origin")
    if request.method not in READS and origin is not None and not is_loopback(_hostname(origin)):
        return "without tokens no web page may change anything"
    return None


def _hostname(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


async def _settle(pool: AsyncConnectionPool, tenant: str, row: int, status: int) -> None:
    """Note the end. What was done is done: the caller is told of it, although the log cannot be reached."""
    try:
        async with tenants.inside(pool, tenant) as connection:
            await audit.end(connection, row, status)
    except psycopg.Error as error:
        log.warning("api.audit_not_ended", row=row, status=status, error=type(error).__name__)
