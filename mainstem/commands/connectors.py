"""`mainstem connectors list|status|sync|pause|resume|reset|approve|reject|outage|recovered`."""

import time
from collections.abc import Callable
from typing import Annotated, Any, Final

import orjson
import typer

from mainstem.api import standings
from mainstem.commands.connector_desk import Desk, IdArgument, Verdict, connected, ended, hindrance
from mainstem.commands.connector_views import detail, run_row, table
from mainstem.commands.options import ConfigOption, DataDirOption, JsonOption, opened
from mainstem.configured import configured
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from mainstem.log import warn
from mainstem.terminal import counted, screen
from schemas.errors import ConfigError, ConflictError
from schemas.topics import CONNECTOR_ID
from sources import steering

HoldArgument = Annotated[
    str | None, typer.Argument(metavar="[HOLD]", help="The hold, where more than one may have been seen.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


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
    found = connected(installation, lambda connection: steering.statuses(connection, every))
    for reason in filter(None, (hindrance(installation, each) for each in every)):
        warn(reason)
    shown = [standings.status(*each) for each in zip(every, found, strict=True)]
    if not as_json:
        table(shown, screen())
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
    desk = Desk(opened(config, data_dir), connector)
    if desk.hindrance:
        warn(desk.hindrance)
    residue = desk.do(lambda connection: steering.residue(connection, desk.connector))
    shown = desk.status() | {"refused": residue.refused, "kept": residue.kept}
    if as_json:
        typer.echo(orjson.dumps(shown))
    else:
        detail(shown, screen())


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
    desk = Desk(opened(config, data_dir), connector)
    if desk.hindrance:
        # Another that runs connectors may know it.
        warn(desk.hindrance)
    before = desk.status() if wait else {}
    if before.get("state") == "paused":
        raise ConflictError(f"connector {connector} is paused: run `mainstem connectors resume {connector}` first")
    newest = desk.do(lambda connection: steering.request_sync(connection, desk.connector, full=full))
    if not wait:
        desk.tell(f"{connector}: a run was asked for", as_json=as_json)
        return
    failures = before["consecutive_failures"]
    run = desk.do(lambda connection: ended(connection, desk.connector, newest, failures=failures))
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
    Desk(opened(config, data_dir), connector).steer(steering.pause, "is paused", as_json=as_json)


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
    Desk(opened(config, data_dir), connector).steer(steering.resume, "is resumed", as_json=as_json)


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
    Desk(opened(config, data_dir), connector).steer(steering.reset, "begins anew", as_json=as_json)


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
    verdict = Verdict(verb="approve", state="approved", question="Delete them?", do=steering.approve)
    Desk(opened(config, data_dir), connector).decide(verdict, hold, yes=yes, as_json=as_json)


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
    verdict = Verdict(verb="reject", state="rejected", question="Keep them?", do=steering.reject)
    Desk(opened(config, data_dir), connector).decide(verdict, hold, yes=yes, as_json=as_json)


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


def _announce(installation: Installation, connector: str, op: Any, *, as_json: bool) -> None:
    from sources.outages import announce  # noqa: PLC0415 - the one command here that needs Kafka

    if not CONNECTOR_ID.fullmatch(connector):
        raise ConfigError(f"{connector}: a connector id is 1 to 63 of a-z, 0-9 and '-'")
    now = time.time_ns() // 1_000_000
    partitions = announce(installation.client, installation.existing_changes(connector).name, connector, op, now)
    if as_json:
        told = {"connector_id": connector, "op": op, "observed_at": now, "partitions": partitions}
        typer.echo(orjson.dumps(told))
    else:
        typer.echo(f"{connector}: {op} is said to {counted(partitions, 'partition')}")


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
