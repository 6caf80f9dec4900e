"""`mainstem mcp`."""

import importlib.util
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from mainstem import log
from mainstem.commands.options import ConfigOption, DataDirOption, opened
from mainstem.configuration.values import is_loopback
from mainstem.installation import DEFAULT_DATA_DIR
from schemas.errors import ConfigError

TOKEN_VARIABLE: Final = "MAINSTEM_TOKEN"  # noqa: S105 - the name of a variable


def mcp(
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="The API; the one of this installation otherwise.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="TOKEN",
            envvar=TOKEN_VARIABLE,
            show_envvar=False,
            help=f"Sent to the API; better in {TOKEN_VARIABLE}, since everybody on a machine sees its command lines.",
        ),
    ] = None,
    http: Annotated[
        int | None,
        typer.Option("--http", metavar="PORT", min=1, max=65535, help="Serve HTTP on 127.0.0.1:PORT/mcp instead."),
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Serve the catalogue's questions to an AI assistant (Model Context Protocol), on standard input and output. All of
    them only read. With --http each caller sends a token of its own, as to the API.

    Examples:
      mainstem mcp
      MAINSTEM_TOKEN=mst_… mainstem mcp --url https://mainstem.acme.com
      mainstem mcp --http 8090
    """
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError("`mainstem mcp` needs the package mcp: install mainstem with it, as mainstem[mcp]")
    if http is not None and token is not None:
        raise ConfigError(f"with --http each caller sends a token of its own: leave out --token and {TOKEN_VARIABLE}")
    if url is None:
        installation = opened(config, data_dir, is_beside_up=False)
        api = installation.config.api
        found = installation.running and installation.running.api
        url = found or f"http://{f'[{api.host}]' if ':' in api.host else api.host}:{api.port}"
    _check(url, token)
    from mainstem.assistant import server  # noqa: PLC0415 - a second, spent only here

    if http is None:
        server.run_stdio(url, token)
    else:
        server.run_http(url, http)


def _check(url: str, token: str | None) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or parts.username is not None:
        raise ConfigError("--url is not the address of an API, such as https://mainstem.acme.com")
    if token is not None and parts.scheme == "http" and not is_loopback(host):
        log.warn("the token goes over the network in the clear: --url is http")
