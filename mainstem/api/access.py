"""Who calls, and whether they may: the token of a request, the scope of its route, and the log of what changes."""

import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
from fastapi import Request, Response
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import SecretStr

import mainstem.access
from mainstem.access import scopes, tokens
from mainstem.access.jwt import Issuer, KeysUnavailableError, Verifier
from mainstem.api import locations
from mainstem.api.description import SCOPE
from mainstem.api.problems import Problem, answer, on_problem
from schemas.refs import DEFAULT_TENANT
from schemas.statements import statements

Auth = Literal["none", "tokens"]

BELIEVED_SECONDS: Final = 3.0
"""For so long a token that was found is not looked up again: one that is revoked holds for at most so much longer."""
_KEPT: Final = 10_000
_OPEN: Final = ("/livez", "/readyz", "/metrics")
_READS: Final = ("GET", "HEAD", "OPTIONS")
_AUDIT: Final = statements(Path(mainstem.access.__file__).with_name("audit.sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request. *name* is what they sign with; *token_id* is None where no token of ours was needed."""

    name: str
    tenant: str = DEFAULT_TENANT
    scopes: frozenset[str] = scopes.ALL
    token_id: str | None = None


_ANYBODY: Final = Caller(name="api")


class Gate:
    """Knows callers by their tokens. *auth*: `none` asks for no token, `tokens` for one always; without it one is
    needed as soon as one was made, or *token*, the configured one, or *issuer*, of tokens that others sign, is there.
    """

    def __init__(self, auth: Auth | None, token: SecretStr | None, issuer: Issuer | None) -> None:
        self._auth = auth
        self._token = token
        self._verifier = None if issuer is None else Verifier(issuer)
        self._known: dict[bytes, tuple[float, Caller]] = {}
        self._is_open_until = 0.0

    async def caller(self, pool: AsyncConnectionPool, authorization: str) -> Caller | None:
        """Return who sends *authorization*, a header as it came; None when nobody may."""
        if self._auth == "none":
            return _ANYBODY
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "bearer" and given:
            return await self._holder(pool, given.strip())
        return _ANYBODY if await self._is_open(pool) else None

    async def _holder(self, pool: AsyncConnectionPool, given: str) -> Caller | None:
        configured = self._token.get_secret_value() if self._token else ""
        if configured and hmac.compare_digest(given.encode(), configured.encode()):
            return Caller(name="api.token")
        if not given.startswith(tokens.PREFIX):
            return await self._signed(pool, given)
        key, now = tokens.hashed(given), time.monotonic()
        until, caller = self._known.get(key, (0.0, None))
        if now < until:
            return caller
        async with pool.connection() as connection:
            found = await tokens.find(connection, given)
        if found is None:
            self._known.pop(key, None)
            return None
        if len(self._known) >= _KEPT:
            self._known.clear()
        caller = Caller(
            name=found["name"], tenant=found["tenant"], scopes=frozenset(found["scopes"]), token_id=found["id"]
        )
        self._known[key] = (now + BELIEVED_SECONDS, caller)
        return caller

    async def _signed(self, pool: AsyncConnectionPool, given: str) -> Caller | None:
        if self._verifier is None:
            return _ANYBODY if await self._is_open(pool) else None
        found = await self._verifier.bearer(given)
        return None if found is None else Caller(name=found.subject, scopes=found.scopes)

    async def _is_open(self, pool: AsyncConnectionPool) -> bool:
        if self._auth == "tokens" or self._token is not None or self._verifier is not None:
            return False
        now = time.monotonic()
        if now < self._is_open_until:
            return True
        async with pool.connection() as connection:
            if await tokens.are_any(connection):
                return False
        self._is_open_until = now + BELIEVED_SECONDS
        return True


async def identify(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
    """Let pass whom the gate knows, and note what became of what they changed."""
    path = request.url.path
    # Guarded by a secret of their own: Backstage sends no header.
    if path in _OPEN or path.startswith(locations.PREFIX):
        return await proceed(request)
    state = request.app.state
    try:
        caller = await state.gate.caller(state.pool, request.headers.get("authorization", ""))
    except (psycopg.Error, PoolTimeout):
        return await on_problem(request, Problem(503, "Service Unavailable", "the database does not answer; try again"))
    except KeysUnavailableError:
        told = "the keys of api.jwt cannot be had; try again"
        return await on_problem(request, Problem(503, "Service Unavailable", told))
    if caller is None:
        told = "send a token as Authorization: Bearer TOKEN; `mainstem tokens create` makes one"
        return answer(Problem(401, "Unauthorized", told), {"WWW-Authenticate": "Bearer"})
    request.state.caller = caller
    request.state.audited = None
    response = await proceed(request)
    if request.state.audited is not None:
        await _settle(state.pool, request.state.audited, response.status_code)
    return response


async def authorise(request: Request) -> None:
    """Refuse a caller whose token lacks the scope of the route. What is more than reading is in the log before it
    happens. Raises Problem 403.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:
        return
    scope = (request.scope["route"].openapi_extra or {}).get(SCOPE, scopes.READ)
    if scope not in caller.scopes:
        raise Problem(403, "Forbidden", f"the token has not the scope {scope}")
    if scope != scopes.READ:
        request.state.audited = await _noted(request, caller)


def needs(scope: str) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that needs *scope*."""
    return {SCOPE: scope}


def caller_of(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _noted(request: Request, caller: Caller) -> int:
    row = {
        "tenant": caller.tenant,
        "actor": caller.name,
        "token_id": caller.token_id,
        "method": request.method,
        "route": request.scope["route"].path_format,
        "parameters": Jsonb({**request.path_params, **request.query_params}),
    }
    async with request.app.state.pool.connection() as connection:
        found = await (await connection.execute(_AUDIT["begin"], row)).fetchone()
    return int(found[0])


async def _settle(pool: AsyncConnectionPool, row: int, status: int) -> None:
    async with pool.connection() as connection:
        await connection.execute(_AUDIT["end"], {"id": row, "status": status})
