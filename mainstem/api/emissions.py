"""`/v1/sinks/backstage/emissions`: what Backstage has confirmed of each entity."""

from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from mainstem.api import bodies
from mainstem.api.database import told
from mainstem.api.description import answers
from mainstem.api.fields import narrowed
from mainstem.api.parameters import Cursor, Fields, Limit, cursor_of, key_of
from mainstem.api.routing import Admitting
from mainstem.api.shapes import timestamp
from schemas.statements import statements

router = APIRouter(prefix="/v1/sinks/backstage", tags=["sinks"], route_class=Admitting)

MAX_SHARD: Final = 2**31 - 1
_QUERIES: Final = statements(Path(__file__).with_name("queries.sql"))

States = Annotated[list[bodies.EmissionState] | None, Query(description="Only these; repeated for `or`.")]
Shard = Annotated[int, Query(ge=0, le=MAX_SHARD)]
Shards = Annotated[list[Shard] | None, Query(description="Only these; repeated for `or`.")]


@router.get("/emissions", responses=answers(200, bodies.EmissionList, "Entities, by reference."))
async def list_emissions(
    request: Request,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: States = None,
    shard: Shards = None,
    fields: Fields = None,
) -> Response:
    """Return what Backstage said last of each entity that the sink `backstage` carried on."""
    parameters: dict[str, Any] = {
        "after": key_of(cursor) or "",
        "states": state,
        "shards": shard,
        "limit": limit + 1,
    }
    rows = await told(request, _QUERIES["list_emissions"], parameters)
    items = [narrowed({**row, "confirmed_at": timestamp(row["confirmed_at"])}, fields) for row in rows[:limit]]
    next_cursor = cursor_of(rows[limit - 1]["entity_ref"]) if len(rows) > limit else None
    return JSONResponse({"items": items, "next_cursor": next_cursor})
