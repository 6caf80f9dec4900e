"""`/v1/services/{id}/override`: what people say of a service over the heads of connectors, field by field."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError as Unfit

from mainstem.access.scopes import OVERRIDE
from mainstem.api import access, bodies, services
from mainstem.api.changes import object_of, refused
from mainstem.api.database import ambiguous, one
from mainstem.api.description import answers, described, problems
from mainstem.api.fields import narrowed
from mainstem.api.parameters import Cursor, Fields, IfMatch, Limit, page_of, require_match
from mainstem.api.problems import Problem
from mainstem.api.publishing import Wait, shown, until_readable
from mainstem.api.references import is_name
from mainstem.api.routing import Admitting
from mainstem.api.shapes import timestamp
from mainstem.overrides.fields import MalformedPointerError, mismatch, objection, parse_field
from mainstem.overrides.judging import Ground, Override
from mainstem.overrides.sets import Held, Overrides, Sets, with_one
from schemas.canonical import canonical_json, parse_json, pointer
from schemas.changes import parse_time
from schemas.errors import DecodeError, MergeError, Skippable, ValidationError
from schemas.refs import EntityRef

router = APIRouter(prefix="/v1/services", tags=["services"], route_class=Admitting)

_MAX_DEPTH: Final = 100
_ANSWERS: Final = (
    answers(200, bodies.Service | None, "With `wait`: the service; null when nobody vouches for it.")
    | answers(202, bodies.Receipts, "Kafka has it.")
    | problems(404, 409, 412, 504)
)
_BODY: Final = described(
    "What one field of the merged entity is to be. A null leaves it out.",
    {
        "field": "/service/tier",
        "value": "tier1",
        "reason": "Black Friday: every page goes out at once",
        "expires_at": "2126-12-01T08:00:00Z",
    },
    bodies.OverrideRequest.model_json_schema(),
)

_NOTED: Final = {"field", "reason", "author", "expires_at"}

FieldQuery = Annotated[str, Query(alias="field", description="Its JSON pointer, such as `/service/tier`.")]


def _noted(body: bytes) -> dict[str, Any]:
    """Return what the log tells of an override; nothing of what is refused. The value is in the entity's history."""
    try:
        wanted = bodies.OverrideRequest.model_validate(parse_json(body))
    except (DecodeError, Unfit):
        return {}
    return wanted.model_dump(include=_NOTED, exclude_none=True)


@router.get("/{id:ref}/overrides", responses=answers(200, bodies.OverrideList, "By field.") | problems(404, 409))
async def list_overrides(
    request: Request,
    id: str,  # noqa: A002 - as the path calls it
    limit: Limit = 50,
    cursor: Cursor = None,
    fields: Fields = None,
) -> Response:
    """Return the overrides of a service and how they stand to what lies beneath. Those of a service that is gone are
    found by its reference or id.
    """
    if is_name(request, "overrides"):
        return await services.get_service(request, f"{id}/overrides", fields)
    ref = await _named(request, id)
    found = await _sets(request).find(access.caller_of(request).tenant, ref=ref)
    items = await _shapes(request, found[0]) if found else []
    page, next_cursor = page_of(items, lambda each: str(each["field"]), limit, cursor)
    body = {"items": [narrowed(each, fields) for each in page], "next_cursor": next_cursor}
    # What lies beneath may be nested deeper than JSONResponse writes.
    return Response(canonical_json(body), media_type="application/json")


@router.post(
    "/{id:ref}/override",
    status_code=202,
    responses=_ANSWERS | problems(413, 422),
    openapi_extra={**_BODY, **access.needs(OVERRIDE)},
)
@access.noting(_noted)
async def set_override(
    request: Request,
    id: str,  # noqa: A002 - as the path calls it
    wait: Wait = False,  # noqa: FBT002 - a query parameter
    if_match: IfMatch = None,
) -> Response:
    """Override one field of a service, or do so anew: a change of the connector `override`, which outranks all others.

    `If-Match` takes the ETag of the service. A list that is joined from all connectors is added to.
    """
    _require_action(request, "override")
    wanted = await _wanted(request)
    ref: str = (await one(request, "service", id))["entity_ref"]
    await _require_match(request, ref, if_match)

    def with_it(held: Held, ground: Ground) -> Overrides:
        return _with(held, ground, wanted)

    return await _alter(request, ref, with_it, wait=wait)


@router.delete("/{id:ref}/override", status_code=202, responses=_ANSWERS, openapi_extra=access.needs(OVERRIDE))
async def withdraw_override(
    request: Request,
    id: str,  # noqa: A002 - as the path calls it
    field: FieldQuery,
    wait: Wait = False,  # noqa: FBT002 - a query parameter
    if_match: IfMatch = None,
) -> Response:
    """Withdraw the override of one field: what lies beneath comes up."""
    _require_action(request, "override")
    at = pointer(*_place(field))
    ref = await _named(request, id)
    await _require_match(request, ref, if_match)

    def without_it(held: Held, _: Ground) -> Overrides:
        if at not in held.overrides:
            raise Problem(404, "Not found", f"there is no override of {at} of {ref}")
        return {name: each for name, each in held.overrides.items() if name != at}

    answer = await _alter(request, ref, without_it, wait=wait)
    request.app.state.metrics.overrides_ended.labels("withdrawn").inc()
    return answer


async def _alter(request: Request, ref: str, alteration: Any, *, wait: bool) -> Response:
    try:
        said = await _sets(request).alter(access.caller_of(request).tenant, ref, alteration)
    except MergeError as error:
        raise Problem(409, "Conflict", str(error)) from None
    if not wait:
        return JSONResponse({"receipts": [shown(said.receipt)]}, 202)
    await until_readable(request, said)
    try:
        return await services.get_service(request, ref)
    except Problem as problem:
        if problem.status != 404:  # noqa: PLR2004 - Not Found
            raise
        return JSONResponse(None)


async def _wanted(request: Request) -> Override:
    """Return the override that the body asks for. Raises Problem 400 for a malformed pointer, 422."""
    found = await object_of(request)
    try:
        body = bodies.OverrideRequest.model_validate(found)
    except Unfit as error:
        raise refused((pointer(*map(str, each["loc"])), each["msg"]) for each in error.errors()) from None
    if _is_deep(body.value):
        raise refused([("/value", f"must not be nested deeper than {_MAX_DEPTH}")])
    place = _place(body.field)
    if why := objection(place):
        raise refused([("/field", why)])
    if why := mismatch(place, body.value):
        raise refused([("/value", why)])
    return Override(
        field=pointer(*place),
        value=body.value,
        reason=body.reason,
        author=body.author or access.caller_of(request).name,
        expires_at=_moment(body.expires_at),
    )


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [inner for each in level for inner in _inner(each)]
    return bool(level)


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _with(held: Held, ground: Ground, wanted: Override) -> Overrides:
    """Return the overrides of *held* with *wanted*. Raises Problem 404 and 422."""
    if ground.beneath is None:
        raise Problem(404, "Not found", f"nobody vouches for {held.entity_ref} any more")
    then = ground.value(wanted.field)
    each = Override(
        field=wanted.field,
        value=wanted.value,
        reason=wanted.reason,
        author=wanted.author,
        expires_at=wanted.expires_at,
        then=then,
        seen=then,
    )
    overrides = with_one(held.overrides, each)
    try:
        after = held.drawn(overrides, ground.identity).record
    except Skippable as error:
        raise _unfit(error, wanted.field) from None
    values = {field: one.value for field, one in overrides.items()}
    if why := ground.objection(held.record, after, values, wanted.field):
        raise refused([("/field", why)])
    return overrides


def _unfit(error: Skippable, field: str) -> Problem:
    """Return what is answered to a value that the processor would refuse."""
    if not isinstance(error, ValidationError):
        return refused([("/value", str(error))])
    above = field if field.startswith("/service/") else f"/entity{field}"
    told = [
        (f"/value{at.removeprefix(above)}" if f"{at}/".startswith(f"{above}/") else "/value", why)
        for at, why in error.faults
    ]
    return refused(told)


async def _shapes(request: Request, held: Held) -> list[dict[str, Any]]:
    try:
        ground = await _sets(request).ground(held)
        states = ground.states(held.overrides.values(), held.record)
    except MergeError as error:
        raise Problem(409, "Conflict", str(error)) from None
    return [
        {
            "field": each.field,
            "value": each.value,
            "reason": each.reason,
            "author": each.author,
            "expires_at": None if each.expires_at is None else timestamp(each.expires_at),
            "state": states[each.field],
            "beneath": ground.value(each.field),
        }
        for each in held.overrides.values()
    ]


async def _named(request: Request, text: str) -> str:
    """Return the reference of the service, or of one that is gone and has overrides, that *text* names."""
    try:
        row = await one(request, "service", text)
    except Problem as problem:
        if problem.status != 404:  # noqa: PLR2004 - Not Found
            raise
        found = await _gone(request, text)
        if found is None:
            raise
        return found
    ref: str = row["entity_ref"]
    return ref


async def _gone(request: Request, text: str) -> str | None:
    tenant, sets = access.caller_of(request).tenant, _sets(request)
    try:
        found = await sets.find(tenant, set_id=UUID(text))
    except ValueError:
        found = await sets.find(tenant, ref=str(EntityRef.parse(text))) if ":" in text else []
        found = found or await sets.find(tenant, name=text.lower())
    refs = [each.entity_ref for each in found if each.overrides]
    if len(refs) > 1:
        raise ambiguous("service", refs)
    return refs[0] if refs else None


async def _require_match(request: Request, ref: str, if_match: str | None) -> None:
    if if_match is None:
        return
    try:
        found = await services.get_service(request, ref)
    except Problem:
        require_match(if_match, None)
    else:
        require_match(if_match, found.headers["etag"])


def _require_action(request: Request, last: str) -> None:
    """Refuse what would take the end of an encoded reference for the end of the path."""
    if is_name(request, last):
        raise Problem(404, "Not found", f"a service has no such path: it ends in /{last}, behind the whole reference")


def _place(field: str) -> tuple[str, ...]:
    try:
        return parse_field(field)
    except MalformedPointerError as error:
        raise Problem(400, "Malformed field", str(error), position=error.position) from None


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromtimestamp(parse_time(text) / 1000, UTC)
    except (ValueError, OverflowError):
        raise refused([("/expires_at", "must be a time: RFC 3339 with a time zone")]) from None
    if found.timestamp() <= time.time():
        raise refused([("/expires_at", "must lie in the future")])
    return found


def _sets(request: Request) -> Sets:
    found: Sets = request.app.state.overrides
    return found
