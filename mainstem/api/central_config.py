"""`/central-config/last-sync`: when the central repository was read last."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from mainstem.api import bodies, connectors, standings
from mainstem.api.database import asking
from mainstem.api.description import problems, resource
from mainstem.api.parameters import Fields, IfNoneMatch, single
from mainstem.api.problems import Problem
from mainstem.api.routing import Admitting
from sources import steering

router = APIRouter(prefix="/central-config", tags=["connectors"], route_class=Admitting)


@router.get(
    "/last-sync",
    responses=resource(bodies.LastSync, "The last run that read the whole repository.") | problems(404),
)
async def last_sync(
    request: Request,
    connector_id: Annotated[str | None, Query(description="Of several, the one that is meant.")] = None,
    fields: Fields = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return when the connector of the central repository succeeded last, and at which commit. Of several, unless one
    is named, the one that succeeded last.
    """
    central = [each for each in connectors.configured(request) if each.is_central]
    wanted = [each for each in central if connector_id in (None, each.id)]
    async with asking(request) as connection:
        found = await steering.last_sync(connection, wanted)
    if found is None:
        raise Problem(404, "Not found", "no such connector reads a central repository")
    return single(standings.last_sync(found), fields, if_none_match)
