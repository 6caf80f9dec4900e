"""JSON as it is sent, and as it is read from the database: the same library both ways, in a tenth of the time."""

from typing import Any

import orjson
from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads
from starlette.responses import Response

from schemas.canonical import canonical_json


def json_bytes(content: Any) -> bytes:
    """Return *content* as JSON, however deep it is nested."""
    try:
        return orjson.dumps(content)
    except orjson.JSONEncodeError:  # beyond 254 levels
        return canonical_json(content)


class JsonAnswer(Response):
    """An answer in JSON. Numbers are doubles or of 64 bits, as all that is stored."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json_bytes(content)


def read_json(connection: AsyncConnection) -> None:
    """Let *connection*, a new one of a pool, read JSON in this way."""
    set_json_loads(orjson.loads, connection)
