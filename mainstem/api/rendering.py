"""JSON as it is sent, and as it is read from the database: the same library both ways, in a tenth of the time."""

from typing import Any

import orjson
from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads
from starlette.responses import Response


class JsonAnswer(Response):
    """An answer in JSON. Numbers are doubles or of 64 bits, as all that is stored."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


async def read_json(connection: AsyncConnection) -> None:
    """Let *connection*, a new one of a pool, read JSON in this way."""
    set_json_loads(orjson.loads, connection)
