"""Tokens that others sign: JSON Web Tokens, checked with the keys that their issuer publishes (JWKS).

Backstage is such an issuer: `jwks_url: https://backstage.acme.com/api/auth/.well-known/jwks.json`, `issuer:
https://backstage.acme.com/api/auth`, `audience: backstage`.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import orjson
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

from schemas.refs import DEFAULT_TENANT

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that whoever checks them cannot make: what is signed with a shared secret is refused."""
KEYS_SECONDS: Final = 600.0
"""For so long keys are believed; one that is not among them is looked for at once, but see PAUSE_SECONDS."""
PAUSE_SECONDS: Final = 10.0
"""So often at most the issuer is asked: anybody can send a token of a key that nobody has."""
LEEWAY_SECONDS: Final = 30
_ANSWER_SECONDS: Final = 5.0
_MAX_CHARS: Final = 16_384
_MAX_BYTES: Final = 1_048_576
"""Of the keys: a set has a few thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Whose tokens are taken, and what they allow unless their claim `scope` names less. *tenant_claim*: which claim
    names the tenant, one of *tenants*; without it they are all of the tenant `default`.
    """

    jwks_url: str
    issuer: str
    audience: str
    scopes: Sequence[str]
    tenant_claim: str | None = None
    tenants: Collection[str] = (DEFAULT_TENANT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whom a token speaks of."""

    subject: str
    scopes: frozenset[str]
    tenant: str


class KeysUnavailableError(Exception):
    """The issuer's keys cannot be had: whether the token holds is not known."""


class Verifier:
    """Checks the tokens of one issuer. Use from one event loop."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._keys: KeySet | None = None
        self._read_at = 0.0
        self._asked_at = 0.0
        self._reading = asyncio.Lock()
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "value": issuer.audience},
            sub={"essential": True},
            exp={"essential": True},
        )

    async def bearer(self, token: str) -> Bearer | None:
        """Return whom *token* speaks of, None when it does not hold. Raises KeysUnavailableError."""
        if token.count(".") != 2 or len(token) > _MAX_CHARS:  # noqa: PLR2004 - header, claims, signature
            return None
        try:
            claims = self._read(token, await self._newest_keys())
        except InvalidKeyIdError:
            if not await self._read_keys():
                return None
            claims = self._read(token, self._keys, is_last=True)
        return None if claims is None else self._bearer(claims)

    def _read(self, token: str, keys: KeySet | None, *, is_last: bool = False) -> Mapping[str, Any] | None:
        """Raises InvalidKeyIdError when the key is not among *keys*, unless *is_last*."""
        if keys is None:
            raise KeysUnavailableError
        try:
            found = jwt.decode(token, keys, algorithms=ALGORITHMS)
            self._claims.validate(found.claims)
        except InvalidKeyIdError:
            if is_last:
                return None
            raise
        # Anybody can send anything, such as JSON that is nested too deeply: it is no token, whatever that raises.
        except Exception:  # noqa: BLE001
            return None
        return found.claims

    def _bearer(self, claims: Mapping[str, Any]) -> Bearer | None:
        subject, named = claims["sub"], claims.get("scope")
        tenant = self._tenant(claims)
        if not isinstance(subject, str) or not subject or tenant is None:
            return None
        allowed = frozenset(self._issuer.scopes)
        scopes = allowed & set(named.split()) if isinstance(named, str) else allowed
        return Bearer(subject=subject, scopes=scopes, tenant=tenant)

    def _tenant(self, claims: Mapping[str, Any]) -> str | None:
        """Return the tenant of a token; None when it has none of ours. Its name becomes part of keys and ids: no other
        text may.
        """
        claim = self._issuer.tenant_claim
        if claim is None:
            return DEFAULT_TENANT
        named = claims.get(claim)
        return named if isinstance(named, str) and named in self._issuer.tenants else None

    async def _newest_keys(self) -> KeySet | None:
        if self._keys is None or time.monotonic() - self._read_at > KEYS_SECONDS:
            await self._read_keys()
        return self._keys

    async def _read_keys(self) -> bool:
        """Ask the issuer, unless that was done just now. While it does not answer the keys that were read stay."""
        wanted_at = time.monotonic()
        async with self._reading:
            if self._asked_at > wanted_at:
                return self._read_at >= self._asked_at
            if self._asked_at and wanted_at - self._asked_at < PAUSE_SECONDS:
                return False
            self._asked_at = time.monotonic()
            try:
                self._keys = KeySet.import_key_set(orjson.loads(await _published(self._issuer.jwks_url)))
            except Exception:  # noqa: BLE001 - what it is depends on what the issuer sends; the old keys stay
                return False
            self._read_at = time.monotonic()
            return True


async def _published(url: str) -> bytes:
    """Return what *url* answers, all of it in time. Raises an error of any kind for what is no answer, too long, or
    leads elsewhere.
    """
    body = b""
    async with (
        asyncio.timeout(_ANSWER_SECONDS),
        httpx2.AsyncClient(timeout=_ANSWER_SECONDS) as client,
        # Unpacked by nobody: a packed answer could be of any size.
        client.stream("GET", url, headers={"accept-encoding": "identity"}) as answer,
    ):
        answer.raise_for_status()
        async for part in answer.aiter_raw():
            body += part
            if len(body) > _MAX_BYTES:
                raise ValueError("too long")
    return body
