"""The role `api`: the HTTP API."""

import asyncio
import gc
import socket

import uvicorn
import uvloop
from fastapi import FastAPI
from prometheus_client import REGISTRY

from mainstem.access.jwt import Issuer
from mainstem.api.app import Settings, make_app
from mainstem.api.locations import Locations, Refresh
from mainstem.api.server import config_of
from mainstem.config import Config, LocationRefreshConfig, LocationsConfig
from mainstem.configured import configured
from mainstem.dead_letters.window import Letters
from mainstem.installation import Installation
from mainstem.policies import policy_of
from mainstem.publishing import Kafka
from mainstem.roles.role import RoleOptions, announce, listen
from schemas.errors import UnavailableError


class Server(uvicorn.Server):
    """Ends the streams of events first: they would not end by themselves, and are waited for."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(config_of(app))
        self._streams = app.state.streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.hub.end("the API ends")
        await super().shutdown(sockets)


def run(installation: Installation, options: RoleOptions) -> None:
    """Serve until a signal. The port is taken before anything else, so that it can be told at once."""
    config = installation.config.api
    sock = listen(config.host, config.port)
    host, port = sock.getsockname()[:2]
    settings = Settings(
        dsn=installation.dsn,
        pool_min=installation.config.postgres.pool.min_size,
        pool_max=installation.config.postgres.pool.max_size,
        auth=config.auth,
        token=config.token,
        issuer=_issuer(installation.config),
        connectors=configured(installation.config),
        kafka=_kafka(installation),
        policy=policy_of(installation.config),
        run_dir=installation.data_dir / "run",
        dead_letters=_letters(installation),
        locations=_locations(config.locations),
        registry=REGISTRY,
    )
    server = Server(make_app(settings))
    # What is there now stays, and is much: each look for garbage would go through all of it.
    gc.freeze()
    announce(options, f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=[sock]))


def _letters(installation: Installation) -> Letters | None:
    """Without a Kafka everything else is answered."""
    try:
        return Letters(client=installation.client, topics=installation.topics, dsn=installation.dsn)
    except UnavailableError:
        return None


def _kafka(installation: Installation) -> Kafka | None:
    """An API that knows of no Kafka reads, and publishes nothing."""
    try:
        return Kafka(client=installation.client, topics=installation.topics)
    except UnavailableError:
        return None


def _issuer(config: Config) -> Issuer | None:
    configured = config.api.jwt
    if configured is None:
        return None
    return Issuer(
        jwks_url=configured.jwks_url,
        issuer=configured.issuer,
        audience=configured.audience,
        scopes=configured.scopes,
        tenant_claim=configured.tenant_claim,
        tenants=frozenset(each.id for each in config.tenants),
    )


def _locations(configured: LocationsConfig | None) -> Locations | None:
    if configured is None:
        return None
    kinds = None if configured.kinds is None else frozenset(kind.lower() for kind in configured.kinds)
    return Locations(
        secret=configured.secret, shards=configured.shards, kinds=kinds, refresh=_refresh(configured.refresh)
    )


def _refresh(configured: LocationRefreshConfig | None) -> Refresh | None:
    if configured is None:
        return None
    return Refresh(base_url=configured.base_url, token=configured.token, seconds=configured.interval.total_seconds())
