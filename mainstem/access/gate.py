"""Callers, known by their tokens."""

import hmac
import time
from dataclasses import dataclass
from typing import Final, Literal

from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

from mainstem.access import scopes, tokens
from mainstem.access.jwt import Issuer, Verifier
from schemas.refs import DEFAULT_TENANT

Auth = Literal["none", "tokens"]

BELIEVED_SECONDS: Final = 3.0
"""For so long a token that was found is not looked up again: one that is revoked holds for at most so much longer."""
_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request. *name* is what they sign with; *token_id* is None where no token of ours was needed."""

    name: str
    tenant: str = DEFAULT_TENANT
    scopes: frozenset[str] = scopes.ALL
    token_id: str | None = None


ANYBODY: Final = Caller(name="api")
"""Who is let in without a token."""


def bearer(authorization: str) -> str:
    """Return the token in *authorization*, a header as it came; nothing where none was sent."""
    scheme, _, given = authorization.partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


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
            return ANYBODY
        if given := bearer(authorization):
            return await self._holder(pool, given)
        return ANYBODY if await self._is_open(pool) else None

    async def _holder(self, pool: AsyncConnectionPool, given: str) -> Caller | None:
        configured = self._token.get_secret_value() if self._token else ""
        if configured and hmac.compare_digest(given.encode(), configured.encode()):
            return Caller(name="api.token")
        if not given.startswith(tokens.PREFIX):
            return await self._signed(pool, given)
        if not tokens.FORM.fullmatch(given):
            return None
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
            return ANYBODY if await self._is_open(pool) else None
        found = await self._verifier.bearer(given)
        return None if found is None else Caller(name=found.subject, tenant=found.tenant, scopes=found.scopes)

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
