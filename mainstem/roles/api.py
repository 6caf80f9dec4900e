"""The role `api`: the HTTP API."""

import asyncio

import uvicorn
from prometheus_client import REGISTRY

from mainstem.api.app import Settings, make_app
from mainstem.api.locations import Locations
from mainstem.config import LocationsConfig
from mainstem.configured import configured
from mainstem.installation import Installation
from mainstem.policies import policy_of
from mainstem.roles.role import RoleOptions, announce, listen


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
        connectors=configured(installation.config),
        policy=policy_of(installation.config),
        run_dir=installation.data_dir / "run",
        locations=_locations(config.locations),
        registry=REGISTRY,
    )
    server = uvicorn.Server(uvicorn.Config(make_app(settings), log_config=None, access_log=False, lifespan="on"))
    announce(options, f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    asyncio.run(server.serve(sockets=[sock]))


def _locations(configured: LocationsConfig | None) -> Locations | None:
    if configured is None:
        return None
    kinds = None if configured.kinds is None else frozenset(kind.lower() for kind in configured.kinds)
    return Locations(secret=configured.secret, shards=configured.shards, kinds=kinds)
