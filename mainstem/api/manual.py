"""`PUT` and `DELETE /v1/entities/{ref}`: entities that people write down themselves, as the connector `manual`."""

from pathlib import Path
from typing import Any, Final

import psycopg
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mainstem.access.scopes import MANUAL
from mainstem.api import access, bodies, entities
from mainstem.api.changes import drafted, object_of, refused
from mainstem.api.database import asking
from mainstem.api.description import answers, described, problems
from mainstem.api.parameters import IfAbsent, IfMatch, is_known, require_match
from mainstem.api.problems import Problem
from mainstem.api.publishing import Wait, publishing, shown, until_readable
from mainstem.api.references import parse_ref
from mainstem.api.routing import Admitting
from mainstem.publishing import Said
from schemas.refs import EntityRef
from schemas.statements import statements

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1", tags=["entities"], route_class=Admitting)

CONNECTOR: Final = "manual"
_QUERIES: Final = statements(Path(__file__).with_name("manual.sql"))
_PARTS: Final = ("entity", "service")
_ANSWERS: Final = (
    answers(200, bodies.Entity | None, "With `wait`: the merged entity; null when nobody speaks of it any more.")
    | answers(202, bodies.Receipts, "Kafka has it.")
    | problems(412, 504)
)
_BODY: Final = described(
    "A Backstage entity, or `entity` and `service` as `GET` answers them. A part is enough, where connectors bring the"
    " rest; what was written down before and is not in it is gone.",
    {
        "entity": {
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Component",
            "metadata": {"name": "pay", "description": "Takes the money"},
            "spec": {"type": "service", "lifecycle": "production", "owner": "team-pay"},
        },
        "service": {"tier": "tier1", "slackChannel": "#pay"},
    },
)


@router.put(
    "/entities/{ref:ref}",
    status_code=202,
    responses=_ANSWERS | problems(413, 422),
    openapi_extra={**_BODY, **access.needs(MANUAL)},
)
async def put_entity(
    request: Request,
    ref: str,
    wait: Wait = False,  # noqa: FBT002 - a query parameter
    if_match: IfMatch = None,
    if_none_match: IfAbsent = None,
) -> Response:
    """Write an entity down by hand, or anew: a change of the connector `manual`, whole as a connector's always is.

    It lives until it is deleted, and is merged with what connectors say, at priority 0.
    """
    parsed = parse_ref(ref)
    found = await object_of(request)
    is_bare = "kind" in found
    if not is_bare and (foreign := sorted(found.keys() - set(_PARTS))):
        raise refused((f"/{name}", "is no part of the body: entity and service are") for name in foreign)
    change = {**({"entity": found} if is_bare else found), "entityRef": str(parsed)}
    below = "/entity" if is_bare else ""
    try:
        drafted(change, CONNECTOR, access.caller_of(request).tenant, below=below)
    except Problem as problem:
        raise _as_sent(problem, "" if is_bare else "/entity") from None
    await _require_match(request, parsed, if_match)
    await _require_absence(request, parsed, if_none_match)
    return await _say(request, parsed, change, wait=wait)


@router.delete(
    "/entities/{ref:ref}",
    status_code=202,
    responses=_ANSWERS | problems(404),
    openapi_extra=access.needs(MANUAL),
)
async def delete_entity(request: Request, ref: str, wait: Wait = False, if_match: IfMatch = None) -> Response:  # noqa: FBT002 - a query parameter
    """Take back what was written down of an entity by hand. It stays while a connector vouches for it."""
    parsed = parse_ref(ref)
    await _require_match(request, parsed, if_match)
    (is_there,) = await _row(request, "is_there", parsed)
    if not is_there:
        raise Problem(404, "Not found", f"{parsed} was not written down by hand")
    return await _say(request, parsed, {"op": "delete", "entityRef": str(parsed)}, wait=wait)


def _as_sent(problem: Problem, above: str) -> Problem:
    """Return *problem* as it is to whoever sent the reference in the path, and an entity at the pointer *above*."""
    told = {"/entityRef": (f"{above}/metadata", "names another entity than the path")}
    return refused(told.get(each["at"], (each["at"], each["reason"])) for each in problem.more["faults"])


async def _say(request: Request, ref: EntityRef, change: dict[str, Any], *, wait: bool) -> Response:
    tenant = access.caller_of(request).tenant
    # The database's own count: the clocks of two processes that publish about one entity may differ.
    (version,) = await _row(request, "take_version", ref)
    receipt = await publishing(request).publish(CONNECTOR, drafted({**change, "version": version}, CONNECTOR, tenant))
    try:
        await _row(request, "confirm", ref, version=version, is_there="op" not in change)
    except psycopg.Error as error:
        # Kafka has it: the row stays in doubt, which forbids nothing.
        log.warning("api.manual_not_confirmed", entity=str(ref), reason=type(error).__name__)
    if not wait:
        return JSONResponse({"receipts": [shown(receipt)]}, 202)
    said = Said(connector=CONNECTOR, tenant=tenant, entity_ref=str(ref), version=version, receipt=receipt)
    await until_readable(request, said)
    return await _merged(request, ref)


async def _merged(request: Request, ref: EntityRef) -> Response:
    try:
        return await entities.get_entity(request, str(ref))
    except Problem as problem:
        if problem.status != 404:  # noqa: PLR2004 - Not Found
            raise
        return JSONResponse(None)


async def _require_match(request: Request, ref: EntityRef, if_match: str | None) -> None:
    if if_match is not None:
        require_match(if_match, await entities.etag_of(request, ref))


async def _require_absence(request: Request, ref: EntityRef, if_none_match: str | None) -> None:
    if if_none_match is not None:
        etag = await entities.etag_of(request, ref)
        if etag is not None and is_known(etag, if_none_match):
            raise Problem(412, "Precondition failed", "what If-None-Match names is there already")


async def _row(request: Request, query: str, ref: EntityRef, **parameters: Any) -> tuple[Any, ...]:
    asked = {**parameters, "tenant": access.caller_of(request).tenant, "ref": str(ref)}
    async with asking(request) as connection:
        cursor = await connection.execute(_QUERIES[query], asked)
        row = await cursor.fetchone() if cursor.description else None
        return row or ()
