"""`/v1/validate`: whether a change would be accepted, before anybody publishes it."""

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from mainstem.access.scopes import READ
from mainstem.api import access, bodies
from mainstem.api.changes import unprocessable
from mainstem.api.description import answers, problems
from mainstem.api.routing import Admitting
from schemas.errors import DecodeError, ValidationError
from sources.publisher import examined

router = APIRouter(prefix="/v1", tags=["changes"], route_class=Admitting)

_ANYBODYS: Final = "manual"
"""Every connector's changes are judged alike, but for those of one that publishes complete entities alone."""
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A change, as it would stand on its topic.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


@router.post(
    "/validate",
    responses=answers(200, bodies.Validity, "It would be accepted.") | problems(413, 422),
    openapi_extra={**_BODY, **access.needs(READ)},
)
async def validate(request: Request) -> JSONResponse:
    """Judge a change as the processor would, with every fault by its JSON pointer. Nothing is published."""
    value = await request.body()
    try:
        draft, _ = examined(value, _ANYBODYS, tenant=access.caller_of(request).tenant)
    except (ValidationError, DecodeError) as error:
        raise unprocessable(error) from None
    return JSONResponse({"valid": True, "entity_ref": draft.entity_ref})
