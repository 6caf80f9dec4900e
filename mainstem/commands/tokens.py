"""`mainstem tokens create|list|revoke`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Final, TypeVar

import orjson
import typer
from psycopg import AsyncConnection

from mainstem.access import scopes, tokens
from mainstem.access.tokens import Token, Wanted
from mainstem.api.shapes import timestamp
from mainstem.commands.options import (
    ConfigOption,
    DataDirOption,
    JsonOption,
    TenantOption,
    group,
    opened,
    require_tenant,
)
from mainstem.configuration.values import parse_duration
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from mainstem.person import who
from mainstem.terminal import cell, screen, table
from schemas.database import sentences
from schemas.refs import DEFAULT_TENANT

T = TypeVar("T")

_LONGEST: Final = timedelta(days=3650)

app = group("Tokens of the HTTP API.")


def _scope(text: str) -> str:
    try:
        return scopes.check(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _life(text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not timedelta() < found <= _LONGEST:
        raise typer.BadParameter("a token ends after at most 3650d; without --expires, when it is revoked")
    return found


@app.command("create")
def create(
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope", parser=_scope, metavar="SCOPE", help="read, override, operate or publish:ID; repeatable."
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Who signs what is done with it; its id otherwise.")
    ] = None,
    tenant: TenantOption = DEFAULT_TENANT,
    expires: Annotated[
        timedelta | None,
        typer.Option("--expires", parser=_life, metavar="DURATION", help="As in 30d; without it, until it is revoked."),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Make a token and print it, this once. From the first one on the API answers nobody without a token.

    Examples:
      mainstem tokens create --scope read --name dashboards
      mainstem tokens create --scope publish:cmdb --expires 30d --json
    """
    installation = opened(config, data_dir)
    require_tenant(installation, tenant)
    wanted = Wanted(scopes=scope, by=who(), name=name, tenant=tenant, life=expires)
    minted = _done(installation, lambda connection: tokens.create(connection, wanted))
    if as_json:
        typer.echo(orjson.dumps({"id": minted.id, "token": minted.token}))
        return
    typer.echo(minted.token)
    typer.echo(f"token {minted.id}: it is not shown again", err=True)


@app.command("list")
def list_tokens(
    as_json: JsonOption = False, config: ConfigOption = None, data_dir: DataDirOption = DEFAULT_DATA_DIR
) -> None:
    """List the tokens, the oldest first, those that no longer hold as well. The tokens themselves are kept nowhere.

    Example: mainstem tokens list
    """
    found = _done(opened(config, data_dir), tokens.every)
    if as_json:
        for each in found:
            typer.echo(orjson.dumps(_document(each)))
    elif found:
        _print(found)
    else:
        typer.echo("there are no tokens")


@app.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID|TOKEN", help="Its id, or the token itself.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """End a token. Within five seconds no API takes it any more.

    Example: mainstem tokens revoke 3f9a61c2b07e
    """
    ended = _done(opened(config, data_dir), lambda connection: tokens.revoke(connection, token))
    typer.echo(orjson.dumps({"id": ended, "state": "revoked"}) if as_json else f"token {ended} is revoked")


def _done(installation: Installation, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    async def within() -> T:
        async with await AsyncConnection.connect(installation.dsn, connect_timeout=10) as connection:
            return await work(connection)

    with sentences(installation.dsn):
        return asyncio.run(within())


def _document(token: Token) -> dict[str, Any]:
    times = {"created_at": token.created_at, "expires_at": token.expires_at, "revoked_at": token.revoked_at}
    return {
        "id": token.id,
        "name": token.name,
        "tenant": token.tenant,
        "scopes": token.scopes,
        "state": token.state,
        "created_by": token.created_by,
        **{name: None if at is None else timestamp(at) for name, at in times.items()},
    }


def _print(found: list[Token]) -> None:
    rows = table("id", "name", "tenant", "scopes", "state", "expires")
    for each in found:
        expires = "never" if each.expires_at is None else timestamp(each.expires_at)
        cells = (each.id, each.name, each.tenant, " ".join(each.scopes), each.state, expires)
        rows.add_row(*(cell(text) for text in cells))
    screen().print(rows)
