"""The role `api`: the HTTP API."""

import asyncio
import socket

import uvicorn

from mainstem.api.app import Settings, make_app
from mainstem.installation import Installation
from mainstem.roles.role import RoleOptions, announce
from schemas.errors import UnavailableError


def run(installation: Installation, options: RoleOptions) -> None:
    """Serve until a signal. The port is taken before anything else, so that it can be told at once."""
    config = installation.config.api
    sock = _listen(config.host, config.port)
    host, port = sock.getsockname()[:2]
    settings = Settings(
        dsn=installation.dsn,
        pool_min=installation.config.postgres.pool.min_size,
        pool_max=installation.config.postgres.pool.max_size,
        token=config.token,
        run_dir=installation.data_dir / "run",
    )
    server = uvicorn.Server(uvicorn.Config(make_app(settings), log_config=None, access_log=False, lifespan="on"))
    announce(options, f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    asyncio.run(server.serve(sockets=[sock]))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        raise UnavailableError(
            f"the API cannot listen on {host}:{port}: {error.strerror}; set api.port (0 takes any free port)"
        ) from None
    sock.listen(128)
    return sock
