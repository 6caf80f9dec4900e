"""What the commands that steer connectors share: the connector, the database, and how a decision is asked for."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol, TypeVar
from uuid import UUID

import orjson
import typer
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from mainstem.api import standings
from mainstem.commands.connector_views import preview
from mainstem.commands.progress import RecordsBar
from mainstem.configured import configured
from mainstem.installation import Installation
from mainstem.log import warn
from mainstem.person import who
from mainstem.terminal import counted
from schemas.database import sentences
from schemas.errors import ConfigError, CursorExpiredError, UnavailableError, UnknownNameError
from sources import steering
from sources.steering import Configured, Hold

T = TypeVar("T")

POLL_SECONDS: Final = 0.5
LONELY_SECONDS: Final = 10.0
"""A request that nobody took up for so long is told of: a runner looks every second."""
FORSAKEN_SECONDS: Final = 300.0
"""After so long nobody waits for it any more: no run that ended, and no lease, stands in the way that long."""

_REMEDY: Final = "start `mainstem connectors run` or `up`; one that began before the connector was there, start again"

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The connector.")]
Pool = AsyncConnectionPool[AsyncConnection[Any]]
Work = Callable[[AsyncConnection], Awaitable[T]]
Steer = Callable[[AsyncConnection, Configured], Awaitable[None]]


class Decide(Protocol):
    def __call__(
        self, connection: AsyncConnection, connector: Configured, hold_id: UUID, *, by: str
    ) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision about held deletions: what it is called, what is asked before it, and what it does."""

    verb: str
    state: str
    question: str
    do: Decide


class Desk:
    """One configured connector, and the database in which it is steered."""

    def __init__(self, installation: Installation, connector_id: str) -> None:
        self._installation = installation
        try:
            self.connector = steering.find(configured(installation.config), connector_id)
        except UnknownNameError:
            known = ", ".join(sorted(installation.connector_ids)) or "none"
            raise UnknownNameError(f"connector {connector_id} is not configured; configured are: {known}") from None

    @property
    def hindrance(self) -> str | None:
        return hindrance(self._installation, self.connector)

    def do(self, work: Work[T]) -> T:
        return connected(self._installation, work)

    def status(self) -> dict[str, Any]:
        return standings.status(self.connector, self.do(lambda connection: steering.status(connection, self.connector)))

    def hold(self, hold_id: str | None) -> Hold:
        """Return the open hold, which must be *hold_id* where that is given."""
        found = self.do(lambda connection: steering.holds(connection, self.connector))
        chosen = [each for each in found if hold_id in (None, str(each.hold_id))]
        if not chosen:
            wanted = f" {hold_id}" if hold_id else ""
            raise UnknownNameError(f"connector {self.connector.id} has no held deletions{wanted} to decide about")
        return chosen[0]

    def steer(self, work: Steer, said: str, *, as_json: bool) -> None:
        self.do(lambda connection: work(connection, self.connector))
        self.tell(f"{self.connector.id} {said}", as_json=as_json)

    def decide(self, verdict: "Verdict", hold_id: str | None, *, yes: bool, as_json: bool) -> None:
        """Show the open hold, ask, and decide about it."""
        hold, connector = self.hold(hold_id), self.connector
        _confirm(hold, f"connectors {verdict.verb} {connector.id}", verdict.question, yes=yes)
        self.do(lambda connection: verdict.do(connection, connector, hold.hold_id, by=who()))
        if as_json:
            typer.echo(orjson.dumps({"hold_id": str(hold.hold_id), "state": verdict.state, "count": len(hold.refs)}))
        else:
            typer.echo(f"{connector.id}: {counted(len(hold.refs), 'held deletion')} {verdict.state}")

    def tell(self, sentence: str, *, as_json: bool) -> None:
        typer.echo(orjson.dumps(self.status()) if as_json else sentence)


def hindrance(installation: Installation, connector: Configured) -> str | None:
    """Return why nobody runs an enabled connector, nor goes by what is configured for it, although `up` runs; None
    where nothing is known to be in the way.
    """
    if not connector.enabled or not installation.up_began_without(connector.id):
        return None
    return (
        f"the running `up` does not know connector {connector.id}, which was configured or enabled after it began:"
        " start `up` again"
    )


def connected(installation: Installation, work: Work[T]) -> T:
    """Do *work* over a connection of its own. Raises UnavailableError for whatever Postgres does."""
    dsn = installation.dsn

    async def within() -> T:
        async with await AsyncConnection.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            return await work(connection)

    with sentences(dsn):
        return asyncio.run(within())


def pooled(installation: Installation, work: Callable[[Pool], Awaitable[T]]) -> T:
    """As :func:`connected`, over as many connections as it takes."""
    dsn = installation.dsn

    async def within() -> T:
        pool: Pool = AsyncConnectionPool(dsn, min_size=1, max_size=3, open=False, timeout=10)
        async with pool:
            return await work(pool)

    with sentences(dsn):
        return asyncio.run(within())


async def ended(connection: AsyncConnection, connector: Configured, newest: int, *, failures: int) -> dict[str, Any]:
    """Return the first run after *newest* that is seen to have ended, or to have failed and to wait for its next
    attempt. *failures*: how many there were in a row before it was asked for.

    One that ended because its cursor led nowhere is no answer, and no failure: one that reads everything follows.
    Raises UnavailableError where nobody begins one.
    """
    began, is_told, read = time.monotonic(), False, 0
    with RecordsBar(f"{connector.id}: entities read") as bar:
        while True:
            rows = await steering.runs(connection, connector, limit=1)
            if rows and rows[0]["run"] > newest:
                bar.advance(rows[0]["entities"] - read)
                read, is_told = rows[0]["entities"], True
                now = await steering.status(connection, connector)
                has_failed = now.consecutive_failures > failures
                if rows[0]["error_class"] == CursorExpiredError.__name__ and not has_failed:
                    newest, read, began = rows[0]["run"], 0, time.monotonic()
                elif rows[0]["ended_at"] is not None:
                    return standings.run(rows[0])
                elif has_failed:
                    return standings.failed_run(rows[0], now)
            elif time.monotonic() - began > FORSAKEN_SECONDS:
                raise UnavailableError(f"nobody began a run of {connector.id}: {_REMEDY}")
            elif not is_told and time.monotonic() - began > LONELY_SECONDS:
                is_told = True
                warn(f"nobody has begun a run of {connector.id} yet: {_REMEDY}")
            await asyncio.sleep(POLL_SECONDS)


def _confirm(hold: Hold, command: str, question: str, *, yes: bool) -> None:
    sys.stderr.write(f"{preview(hold)}\n")
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{command}: add --yes to do it without being asked")
    typer.confirm(question, abort=True, err=True)
