"""The API's tokens: made, listed, revoked and found. A token itself is told once, to whoever makes it."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from schemas.errors import UnknownNameError
from schemas.refs import DEFAULT_TENANT
from schemas.statements import statements

PREFIX: Final = "mst_"
_SECRET_BYTES: Final = 32
FORM: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
"""What looks otherwise is no token: that is known without the database."""
_ID_BYTES: Final = 6
_QUERIES: Final = statements(Path(__file__).with_name("tokens.sql"))

State = Literal["active", "expired", "revoked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """A new token. *token* is kept nowhere."""

    id: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token. Without *expires_at* it ends when it is revoked."""

    id: str
    tenant: str
    name: str
    scopes: list[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a new token shall be. *life*: how long from now, None = until it is revoked."""

    scopes: Sequence[str]
    by: str
    name: str | None = None
    tenant: str = DEFAULT_TENANT
    life: timedelta | None = None


async def create(connection: AsyncConnection, wanted: Wanted) -> Minted:
    """Make a token. Unless it is given a name it is called by its id."""
    minted = Minted(id=secrets.token_hex(_ID_BYTES), token=PREFIX + secrets.token_urlsafe(_SECRET_BYTES))
    parameters = {
        "id": minted.id,
        "tenant": wanted.tenant,
        "name": wanted.name or minted.id,
        "hash": hashed(minted.token),
        "scopes": sorted(set(wanted.scopes)),
        "by": wanted.by,
        "life": wanted.life,
    }
    await connection.execute(_QUERIES["create"], parameters)
    return minted


async def every(connection: AsyncConnection) -> list[Token]:
    """Return all tokens, the oldest first, those that no longer hold as well."""
    async with connection.cursor(row_factory=class_row(Token)) as cursor:
        await cursor.execute(_QUERIES["list"])
        return await cursor.fetchall()


async def revoke(connection: AsyncConnection, named: str) -> str:
    """End the token with the id, or of the text, *named*; return its id. Raises UnknownNameError."""
    found = await connection.execute(_QUERIES["revoke"], {"id": named, "hash": hashed(named)})
    row = await found.fetchone()
    if row is None:
        raise UnknownNameError("there is no such token: `mainstem tokens list` shows their ids")
    return str(row[0])


async def find(connection: AsyncConnection, token: str) -> dict[str, Any] | None:
    """Return `id`, `tenant`, `name` and `scopes` of a token that holds now, None for any other text."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_QUERIES["find"], {"hash": hashed(token)})
        return await cursor.fetchone()


async def are_any(connection: AsyncConnection) -> bool:
    """Whether a token was ever made."""
    row = await (await connection.execute(_QUERIES["any"])).fetchone()
    return bool(row and row[0])


def hashed(token: str) -> bytes:
    """Return what is kept of a token: 32 random bytes need no salt, and no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
