"""`mainstem connectors list|status|sync|pause|resume|reset|approve|reject|outage|recovered`."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import orjson
import typer
from psycopg import AsyncConnection
from rich.console import Console

from mainstem.api import standings
from mainstem.commands.connector_views import detail, preview, run_row, table
from mainstem.commands.options import ConfigOption, DataDirOption, JsonOption, opened
from mainstem.commands.progress import RecordsBar
from mainstem.configured import configured
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from mainstem.log import warn
from mainstem.person import who
from schemas.database import sentences
from schemas.errors import ConfigError, ConflictError, UnknownNameError
from schemas.topics import CONNECTOR_ID
from sources import steering
from sources.steering import Configured, Hold

T = TypeVar("T")

POLL_SECONDS: Final = 0.5
LONELY_SECONDS: Final = 10.0
"""A request that nobody took up for so long is told of: a runner looks every second."""

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The connector.")]
HoldArgument = Annotated[
    str | None, typer.Argument(metavar="[HOLD]", help="The hold, where more than one may have been seen.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Work = Callable[[AsyncConnection], Awaitable[T]]


def list_connectors(
    as_json: JsonOption = False, config: ConfigOption = None, data_dir: DataDirOption = DEFAULT_DATA_DIR
) -> None:
    """List the configured connectors and where they stand.

    \b
    Examples:
      mainstem connectors list
      mainstem connectors list --json
    """
    installation = opened(config, data_dir)
    every = sorted(configured(installation.config), key=lambda each: each.id)
    found = _done(installation, lambda connection: steering.statuses(connection, every))
    shown = [standings.status(*each) for each in zip(every, found, strict=True)]
    if not as_json:
        table(shown, Console())
        return
    for each in shown:
        typer.echo(orjson.dumps(each))


def status(
    connector: IdArgument,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Show where one connector stands, and what its last error was.

    \b
    Example:
      mainstem connectors status git
    """
    desk = _Desk(opened(config, data_dir), connector)
    if as_json:
        typer.echo(orjson.dumps(desk.status()))
    else:
        detail(desk.status(), Console())


def sync(
    connector: IdArgument,
    full: Annotated[
        bool, typer.Option("--full/--changes", help="Publish what has not changed as well, or only what has.")
    ] = True,
    wait: Annotated[bool, typer.Option("--wait", help="Until the run has ended; exit code 1 unless complete.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Ask for a run now. It is refused while one is under way.

    \b
    Examples:
      mainstem connectors sync git
      mainstem connectors sync git --changes --wait
    """
    desk = _Desk(opened(config, data_dir), connector)
    before = desk.status() if wait else {}
    if before.get("state") == "paused":
        raise ConflictError(f"connector {connector} is paused: run `mainstem connectors resume {connector}` first")
    newest = desk.do(lambda connection: steering.request_sync(connection, desk.connector, full=full))
    if not wait:
        desk.tell(f"{connector}: a run was asked for", as_json=as_json)
        return
    failures = before["consecutive_failures"]
    run = desk.do(lambda connection: _ended(connection, desk.connector, newest, failures=failures))
    typer.echo(orjson.dumps(run) if as_json else run_row(connector, run))
    if run["outcome"] != "complete":
        raise typer.Exit(1)


def pause(
    connector: IdArgument,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Start no run of a connector until it is resumed. What it said stays, and ages.

    \b
    Example:
      mainstem connectors pause git
    """
    desk = _Desk(opened(config, data_dir), connector)
    desk.do(lambda connection: steering.pause(connection, desk.connector))
    desk.tell(f"{connector} is paused", as_json=as_json)


def resume(
    connector: IdArgument,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Undo a pause.

    \b
    Example:
      mainstem connectors resume git
    """
    desk = _Desk(opened(config, data_dir), connector)
    desk.do(lambda connection: steering.resume(connection, desk.connector))
    desk.tell(f"{connector} is resumed", as_json=as_json)


def reset(
    connector: IdArgument,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """End the run under way, forget where it was and what failed, and publish everything anew.

    Nothing is deleted by it: what the connector has published stays known.

    \b
    Example:
      mainstem connectors reset git
    """
    desk = _Desk(opened(config, data_dir), connector)
    desk.do(lambda connection: steering.reset(connection, desk.connector))
    desk.tell(f"{connector} begins anew", as_json=as_json)


def approve(
    connector: IdArgument,
    hold: HoldArgument = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Let held deletions happen. Shows what would be deleted, and asks.

    \b
    Examples:
      mainstem connectors approve git
      mainstem connectors approve git --yes
    """
    desk = _Desk(opened(config, data_dir), connector)
    found = desk.hold(hold)
    _confirm(found, f"connectors approve {connector}", "Delete them?", yes=yes)
    desk.do(lambda connection: steering.approve(connection, desk.connector, found.hold_id, by=who()))
    _tell_decision(connector, found, "approved", as_json=as_json)


def reject(
    connector: IdArgument,
    hold: HoldArgument = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Keep the entities of held deletions until they are seen again. Shows them, and asks.

    \b
    Examples:
      mainstem connectors reject git
      mainstem connectors reject git --yes
    """
    desk = _Desk(opened(config, data_dir), connector)
    found = desk.hold(hold)
    _confirm(found, f"connectors reject {connector}", "Keep them?", yes=yes)
    desk.do(lambda connection: steering.reject(connection, desk.connector, found.hold_id, by=who()))
    _tell_decision(connector, found, "rejected", as_json=as_json)


def outage(
    connector: IdArgument,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Say that a connector's source is away: what it said does not age meanwhile, for max_stale at most.

    \b
    Example:
      mainstem connectors outage team-pay
    """
    _announce(opened(config, data_dir), connector, "outage", as_json=as_json)


def recovered(
    connector: IdArgument,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Say that a connector's source is back: what it said ages again.

    \b
    Example:
      mainstem connectors recovered team-pay
    """
    _announce(opened(config, data_dir), connector, "recovered", as_json=as_json)


class _Desk:
    """One configured connector, and the database in which it is steered."""

    def __init__(self, installation: Installation, connector_id: str) -> None:
        self._installation = installation
        try:
            self.connector = steering.find(configured(installation.config), connector_id)
        except UnknownNameError:
            known = ", ".join(sorted(installation.connector_ids)) or "none"
            raise UnknownNameError(f"connector {connector_id} is not configured; configured are: {known}") from None

    def do(self, work: Work[T]) -> T:
        return _done(self._installation, work)

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

    def tell(self, sentence: str, *, as_json: bool) -> None:
        typer.echo(orjson.dumps(self.status()) if as_json else sentence)


def _done(installation: Installation, work: Work[T]) -> T:
    """Do *work* over a connection of its own. Raises UnavailableError for whatever Postgres does."""
    dsn = installation.dsn

    async def connected() -> T:
        async with await AsyncConnection.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            return await work(connection)

    with sentences(dsn):
        return asyncio.run(connected())


async def _ended(connection: AsyncConnection, connector: Configured, newest: int, *, failures: int) -> dict[str, Any]:
    """Return the first run after *newest* that is seen to have ended, or to have failed and to wait for its next
    attempt. *failures*: how many there were in a row before it was asked for.
    """
    began, is_told, read = time.monotonic(), False, 0
    with RecordsBar(f"{connector.id}: entities read") as bar:
        while True:
            rows = await steering.runs(connection, connector, limit=1)
            if rows and rows[0]["run"] > newest:
                bar.advance(rows[0]["entities"] - read)
                read, is_told = rows[0]["entities"], True
                if rows[0]["ended_at"] is not None:
                    return standings.run(rows[0])
                now = await steering.status(connection, connector)
                if now.consecutive_failures > failures:
                    return standings.failed_run(rows[0], now)
            elif not is_told and time.monotonic() - began > LONELY_SECONDS:
                is_told = True
                warn(f"nobody has begun a run of {connector.id} yet: does `mainstem connectors run` or `up` run?")
            await asyncio.sleep(POLL_SECONDS)


def _confirm(hold: Hold, command: str, question: str, *, yes: bool) -> None:
    sys.stderr.write(f"{preview(hold)}\n")
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{command}: add --yes to do it without being asked")
    typer.confirm(question, abort=True, err=True)


def _tell_decision(connector: str, hold: Hold, state: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps({"hold_id": str(hold.hold_id), "state": state, "count": len(hold.refs)}))
    else:
        typer.echo(f"{connector}: {len(hold.refs)} held deletions are {state}")


def _announce(installation: Installation, connector: str, op: Any, *, as_json: bool) -> None:
    from sources.outages import announce  # noqa: PLC0415 - the one command here that needs Kafka

    if not CONNECTOR_ID.fullmatch(connector):
        raise ConfigError(f"{connector}: a connector id is 1 to 63 of a-z, 0-9 and '-'")
    now = time.time_ns() // 1_000_000
    partitions = announce(installation.client, installation.topics.changes(connector), connector, op, now)
    if as_json:
        told = {"connector_id": connector, "op": op, "observed_at": now, "partitions": partitions}
        typer.echo(orjson.dumps(told))
    else:
        typer.echo(f"{connector}: {op} is said to {partitions} partitions")


COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "list": list_connectors,
    "status": status,
    "sync": sync,
    "pause": pause,
    "resume": resume,
    "reset": reset,
    "approve": approve,
    "reject": reject,
    "outage": outage,
    "recovered": recovered,
}
