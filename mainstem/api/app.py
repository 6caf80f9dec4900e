"""The HTTP API of one installation: stateless, over the tables that the Postgres sink writes."""

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from psycopg import AsyncConnection, DataError
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from mainstem.access.gate import Auth, Gate
from mainstem.access.jwt import Issuer
from mainstem.api import (
    access,
    central_config,
    conflicts,
    connectors,
    dead_letters,
    emissions,
    entities,
    events,
    history,
    incremental,
    locations,
    manual,
    operations,
    overrides,
    records,
    services,
    simulate,
    teams,
    validation,
)
from mainstem.api.body_cap import BodyCap
from mainstem.api.census import count_for_ever
from mainstem.api.description import describe
from mainstem.api.headers import Guards
from mainstem.api.heads import Heads
from mainstem.api.ids import take_ids
from mainstem.api.location_refresh import refresh_for_ever
from mainstem.api.locations import Locations
from mainstem.api.measures import Measured, begin
from mainstem.api.problems import Problem, on_bad_parameter, on_declined, on_http_error, on_problem, on_unexpected
from mainstem.api.rendering import read_json
from mainstem.api.routing import refuse_unadmitting
from mainstem.dead_letters.window import Letters
from mainstem.overrides.sets import Sets
from mainstem.overrides.tending import Tending
from mainstem.publishing import Kafka, Publishing
from mainstem.simulation.benches import Benches
from schemas.errors import Declined, NotAcknowledgedError, TopicMismatchError, UnavailableError
from schemas.metrics import ApiMetrics, RoleMetrics
from sources.steering import Configured
from streams.policy import Policy

POOL_SECONDS: Final = 5.0
STATEMENT_MS: Final = 10_000
# What is asked for is in memory, and little of much: a plan that reads a whole table to save some looks into an index,
# or that is compiled first, is the slower one here.
_OPTIONS: Final = f"-c statement_timeout={STATEMENT_MS} -c random_page_cost=1.1 -c jit=off"
WAITING: Final = 200
"""So many requests wait for a connection to the database; what comes beyond is answered 503 at once."""
_DOCS: Final = "/v1/docs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the API is made of. *run_dir*: where an `up` keeps the addresses of its roles' monitors. *auth*, *token* and
    *issuer*: see :class:`mainstem.access.gate.Gate`.
    """

    dsn: str
    pool_min: int = 1
    pool_max: int = 10
    auth: Auth | None = None
    token: SecretStr | None = None
    issuer: Issuer | None = None
    connectors: tuple[Configured, ...] = ()
    kafka: Kafka | None = None
    """None = nothing can be published."""
    policy: Policy = field(default_factory=Policy)
    """How records are merged, for explaining it."""
    run_dir: Path | None = None
    locations: Locations | None = None
    """None = a Backstage reads no files here."""
    dead_letters: Letters | None = None
    """None = no Kafka is known."""
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    """What `/metrics` tells, and where the API's own metrics are declared."""


def make_app(settings: Settings) -> FastAPI:
    """Return the API as an ASGI application. Its pool opens and closes with the application's lifespan."""
    app = FastAPI(
        title="Mainstem",
        version="1",
        lifespan=_lifespan,
        docs_url=_DOCS,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        openapi_url="/v1/openapi.json",
        # Behind a proxy that ends TLS, whoever followed would send the token in the clear.
        redirect_slashes=False,
        # Whoever instruments this process from outside would be sent paths, queries and mistakes of callers.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.state.gate = Gate(settings.auth, settings.token, settings.issuer)
    app.state.publishing = Publishing(settings.kafka)
    app.state.ready = RoleMetrics(settings.registry).ready
    app.state.metrics = ApiMetrics(settings.registry)
    app.state.benches = Benches()
    app.state.dead_letters = asyncio.Semaphore(dead_letters.AT_ONCE)
    app.state.streams = events.Streams(settings.kafka, app.state.metrics)
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_bad_parameter)
    app.add_exception_handler(Declined, on_declined)
    app.add_exception_handler(DataError, _on_unstorable)
    app.add_exception_handler(psycopg.Error, _on_database_away)
    for fault in (NotAcknowledgedError, TopicMismatchError, UnavailableError):
        app.add_exception_handler(fault, _on_kafka_away)
    app.add_exception_handler(Exception, on_unexpected)
    # Innermost: what it raises must reach the route as it is.
    app.add_middleware(BodyCap)
    app.add_middleware(access.Identified)
    app.add_middleware(Measured)
    app.add_middleware(Guards, page=_DOCS)
    app.add_middleware(Heads)
    # Not included router by router, which would look for the route twice.
    app.router.routes.extend(_routes())
    refuse_unadmitting(app)
    describe(app, has_tokens=settings.auth != "none")
    begin(app)
    return app


def _routes() -> list[BaseRoute]:
    """Return the routes in the order in which a request is compared with them: what is asked most comes first. But
    overrides before services, records and history before entities, of which any path that ends so could be one; dead
    letters before teams.
    """
    return [
        route
        for each in (
            overrides,
            services,
            records,
            history,
            entities,
            dead_letters,
            teams,
            events,
            manual,
            connectors,
            incremental,
            central_config,
            emissions,
            validation,
            simulate,
            conflicts,
            locations,
            operations,
        )
        for route in each.router.routes
    ]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    pool = AsyncConnectionPool(
        settings.dsn,
        min_size=settings.pool_min,
        max_size=settings.pool_max,
        timeout=POOL_SECONDS,
        max_waiting=WAITING,
        kwargs={"options": _options(settings.dsn), "connect_timeout": 5, "autocommit": True},
        configure=_configure,
        check=_is_alive,
        open=False,
    )
    # Not waited for: the API says itself, on /readyz, that the database is away.
    await pool.open(wait=False)
    app.state.pool = pool
    app.state.metrics.watch_pool(pool.get_stats)
    app.state.overrides = Sets(pool, app.state.publishing, settings.policy)
    tending = Tending(pool, app.state.overrides, settings.policy, app.state.metrics)
    tasks = [
        asyncio.create_task(count_for_ever(pool, app.state.metrics)),
        asyncio.create_task(tending.for_ever()),
    ]
    if settings.locations is not None and settings.locations.refresh is not None:
        telling = refresh_for_ever(pool, settings.locations, settings.locations.refresh)
        tasks.append(asyncio.create_task(telling))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await app.state.streams.hub.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pool.close()


def _options(dsn: str) -> str:
    """Return what connections are opened with: what the DSN says for itself comes last, and holds."""
    return f"{_OPTIONS} {conninfo_to_dict(dsn).get('options') or ''}"


async def _configure(connection: AsyncConnection) -> None:
    read_json(connection)
    take_ids(connection)


async def _is_alive(connection: AsyncConnection) -> None:
    """Find a connection that the server has dropped before it is handed out. It has said so, or closed it: nothing else
    comes to a connection at rest, and a question for each request would cost as much as the request.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(connection)


async def _on_unstorable(request: Request, error: Exception) -> Response:
    del error
    return await on_problem(request, Problem(400, "Bad request", "a parameter holds a text that no database can hold"))


async def _on_database_away(request: Request, error: Exception) -> Response:
    del error
    return await on_problem(request, Problem(503, "Service unavailable", "the database does not answer; try again"))


async def _on_kafka_away(request: Request, error: Exception) -> Response:
    """Their sentences are for people: none holds a payload or a secret."""
    told = "whether it was changed is not known" if isinstance(error, NotAcknowledgedError) else "nothing was changed"
    return await on_problem(request, Problem(503, "Service unavailable", f"{told}: {error}; try again"))
