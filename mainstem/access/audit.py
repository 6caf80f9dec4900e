"""The log of what was asked of the API that changes anything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from mainstem.access.gate import Caller
from schemas.statements import statements

_QUERIES: Final = statements(Path(__file__).with_name("audit.sql"))


async def begin(
    connection: AsyncConnection, caller: Caller, *, method: str, route: str, parameters: Mapping[str, Any]
) -> int:
    """Note what *caller* is about to do; return the row. Without an end it was under way when the process died."""
    row = {
        "tenant": caller.tenant,
        "actor": caller.name,
        "token_id": caller.token_id,
        "method": method,
        "route": route,
        "parameters": Jsonb(dict(parameters)),
    }
    found = await (await connection.execute(_QUERIES["begin"], row)).fetchone()
    assert found is not None
    return int(found[0])


async def end(connection: AsyncConnection, row: int, status: int) -> None:
    """Note how it was answered."""
    await connection.execute(_QUERIES["end"], {"id": row, "status": status})
