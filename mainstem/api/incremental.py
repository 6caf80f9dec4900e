"""`/api/catalog/incremental`: connectors under the paths, and in the words, of Backstage's incremental providers."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic.alias_generators import to_camel

from mainstem.access.scopes import OPERATE
from mainstem.api import access, bodies, connectors, standings
from mainstem.api.database import asking
from mainstem.api.description import answers, problems, resource
from mainstem.api.parameters import IfNoneMatch, single
from mainstem.api.routing import Admitting
from sources import steering

router = APIRouter(prefix="/api/catalog/incremental", tags=["incremental"], route_class=Admitting)


@router.get("/health", responses=answers(200, bodies.Health, "Which providers get on."))
async def health(request: Request) -> JSONResponse:
    """Tell of every provider whether its last run went well."""
    told = [
        {"name": each["connector_id"], "healthy": each["consecutive_failures"] == 0, **_named(each)}
        for each in await _every(request)
    ]
    return JSONResponse({"healthy": all(each["healthy"] for each in told), "providers": told})


@router.get("/providers", responses=answers(200, bodies.ProviderList, "Every provider."))
async def list_providers(request: Request) -> JSONResponse:
    """Return all providers and where they stand."""
    return JSONResponse({"providers": [_provider(each) for each in await _every(request)]})


@router.get(
    "/providers/{name}/status",
    responses=resource(bodies.Provider, "Where the provider stands.") | problems(404),
)
async def get_status(request: Request, name: str, if_none_match: IfNoneMatch = None) -> Response:
    """Return where one provider stands."""
    found = await connectors.status(request, connectors.find(request, name))
    return single(_provider(found), None, if_none_match)


@router.post(
    "/providers/{name}/reset",
    responses=answers(200, bodies.Provider, "Where the provider stands now.") | problems(404, 409),
    openapi_extra=access.needs(OPERATE),
)
async def reset(request: Request, name: str) -> JSONResponse:
    """End the run under way, forget cursor and failures, and publish everything anew."""
    return JSONResponse(_provider(await connectors.steered(request, name, steering.reset)))


@router.post(
    "/providers/{name}/refresh",
    status_code=202,
    responses=answers(202, bodies.Provider, "A run was asked for.") | problems(404, 409),
    openapi_extra=access.needs(OPERATE),
)
async def refresh(request: Request, name: str) -> JSONResponse:
    """Ask for a run now; 409 while one is under way."""
    return JSONResponse(_provider(await connectors.sync(request, name, full=True)), 202)


async def _every(request: Request) -> list[dict[str, Any]]:
    every = sorted(connectors.configured(request), key=lambda each: each.id)
    async with asking(request) as connection:
        found = await steering.statuses(connection, every)
    return [standings.status(*each) for each in zip(every, found, strict=True)]


def _named(status: dict[str, Any]) -> dict[str, Any]:
    return {"state": status["state"], "consecutiveFailures": status["consecutive_failures"]}


def _provider(status: dict[str, Any]) -> dict[str, Any]:
    return {"name": status["connector_id"], **{to_camel(name): value for name, value in status.items()}}
