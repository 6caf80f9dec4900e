"""`/v1/entities/{ref}/records` and `/explain`: what each connector says, and who won."""

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from mainstem.api import bodies, entities
from mainstem.api.database import ask
from mainstem.api.description import answers, problems, resource
from mainstem.api.fields import narrowed
from mainstem.api.parameters import Fields, IfNoneMatch, single
from mainstem.api.problems import Problem
from mainstem.api.references import is_name, parse_ref
from mainstem.api.rendering import JsonAnswer
from mainstem.api.shapes import moment
from schemas.canonical import canonical_json
from schemas.errors import MergeError
from schemas.records import NEVER, Record
from schemas.refs import EntityRef
from streams.expiry import Band, band
from streams.explain import Leaf, explain
from streams.policy import Policy

router = APIRouter(prefix="/v1/entities", tags=["entities"])

_FAR_MS: Final = 2**61
"""Stands for a time that Postgres calls infinity."""
_LIVES: Final = {Band.FRESH: "fresh", Band.STALE: "stale", Band.DEAD: "dead"}

Pointer = Annotated[str, Query(description="Only this field and what is below, such as `/spec/owner`.")]


@router.get("/{ref:path}/records", responses=answers(200, bodies.RecordList, "Records, by connector.") | problems(404))
async def list_records(request: Request, ref: str, fields: Fields = None) -> Response:
    """Return what each connector says of the entity, unmerged, as it stands now."""
    if is_name(request, "records"):
        return await entities.get_entity(request, f"{ref}/records", fields)
    policy, now = request.app.state.settings.policy, time.time() * 1000
    items = [narrowed(_shape(each, policy, now), fields) for each in await _held(request, parse_ref(ref))]
    return JsonAnswer({"items": items, "next_cursor": None})


@router.get(
    "/{ref:path}/explain", responses=resource(bodies.Explanation, "Who won, who lost, and why.") | problems(404, 409)
)
async def explain_entity(
    request: Request, ref: str, field: Pointer = "", fields: Fields = None, if_none_match: IfNoneMatch = None
) -> Response:
    """Return per field who won, who lost and why, as a merge under the configuration of this process would go now."""
    if is_name(request, "explain"):
        return await entities.get_entity(request, f"{ref}/explain", fields, if_none_match)
    if field and not field.startswith("/"):
        raise Problem(400, "Bad request", "field is a JSON pointer and begins with /, such as /spec/owner")
    parsed = parse_ref(ref)
    records = await _held(request, parsed)
    try:
        found = explain(records, request.app.state.settings.policy, now=time.time() * 1000)
    except MergeError as error:
        raise Problem(409, "Conflict", str(error)) from None
    leaves = found.at(field)
    if not leaves:
        at = f"no live record says anything about {field} of" if field and found.entity else "no live record asserts"
        raise Problem(404, "Not found", f"{at} {parsed}")
    return single({"fields": {leaf.pointer: _leaf(leaf) for leaf in leaves}}, fields, if_none_match)


async def _held(request: Request, ref: EntityRef) -> list[Record]:
    rows = await ask(request, "records", ref=str(ref))
    if not rows:
        raise Problem(404, "Not found", f"no record of {ref} is held")
    return [_record(row) for row in rows]


def _record(row: dict[str, Any]) -> Record:
    """Return the record that a row of `entity_records` was made of."""
    touched, expires = float(row["last_touched"]), row["expiration_date"]
    is_far = abs(touched) == NEVER
    entity = {"apiVersion": row["api_version"], "kind": row["kind"], "metadata": row["metadata"], "spec": row["spec"]}
    body = {
        "entity": {name: value for name, value in entity.items() if value is not None},
        "service": row["service"] or {},
    }
    return Record(
        connector=row["data_source"],
        generation=row["generation"],
        version=row["source_version"],
        observed_at=(_FAR_MS if touched > 0 else -_FAR_MS) if is_far else round(touched * 1000),
        timestamp=0,
        ttl=None if expires is None or is_far else float(expires) - touched,
        priority=row["priority_score"],
        content_hash=row["content_hash"],
        content=None if row["deleted"] else canonical_json(body),
        id=row["change_id"],
    )


def _shape(record: Record, policy: Policy, now: float) -> dict[str, Any]:
    ttl, priority = policy.ttl(record), policy.priority(record)
    body = {"entity": None, "service": None} if record.is_delete else record.body
    return {
        "connector": record.connector,
        "priority": None if priority == NEVER else priority,
        "state": "deleted" if record.is_delete else _LIVES[band(record, policy, now)],
        "observed_at": moment(record.observed_at),
        "expires_at": None if ttl == NEVER or record.is_delete else moment(record.observed_at + ttl * 1000),
        "entity": body["entity"],
        "service": body["service"],
    }


def _leaf(leaf: Leaf) -> dict[str, Any]:
    return {
        "value": leaf.value,
        "winners": list(leaf.winners),
        "strategy": leaf.strategy,
        "losers": [{"connector": each.connector, "value": each.value, "reason": each.reason} for each in leaf.losers],
    }
