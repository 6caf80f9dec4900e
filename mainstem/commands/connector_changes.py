"""`mainstem connectors diff|forget`: what a run would do, and the end of all that a connector holds."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import psycopg
import typer

from mainstem.commands.connector_desk import IdArgument, Pool, pooled
from mainstem.commands.options import ConfigOption, DataDirOption, JsonOption, opened
from mainstem.commands.progress import RecordsBar
from mainstem.configured import configured as steerable
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from mainstem.log import warn
from mainstem.person import who
from mainstem.terminal import counted, visible
from schemas.errors import ConfigError, Fatal, SourceError, TopicMismatchError, UnknownNameError
from schemas.refs import DEFAULT_TENANT
from sources.guard import Limits, allows

if TYPE_CHECKING:
    from sources.preview import Preview

SHOWN: Final = 20

LimitOption = Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Show so many of each kind.")]


def diff(
    connector: IdArgument,
    limit: LimitOption = SHOWN,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Show what a complete run would publish and delete now. Nothing is published, and nothing is saved.

    The source is read anew: a repository is fetched into a copy that is thrown away.

    \b
    Example:
      mainstem connectors diff backstage-prod
    """
    installation = opened(config, data_dir)
    installation.check_plugins()
    from stamina.instrumentation import set_on_retry_hooks  # noqa: PLC0415 - not every command needs the sources

    from mainstem.roles.connectors import runnable  # noqa: PLC0415
    from sources.failures import reason  # noqa: PLC0415
    from sources.http import told  # noqa: PLC0415
    from sources.preview import preview  # noqa: PLC0415

    (found,) = runnable(installation, [connector], keeps=False)
    cluster = installation.cluster.cluster_id()
    set_on_retry_hooks([lambda details: warn(told(details))])

    async def previewed(pool: Pool) -> "Preview":
        try:
            with RecordsBar("reading") as bar:
                return await preview(found, pool, cluster, told=lambda count: bar.show(count, count))
        except (psycopg.Error, Fatal):
            raise
        except Exception as error:  # noqa: BLE001 - a source may raise whatever its system does
            raise SourceError(
                f"the source of connector {connector} could not be read, and a run would fail there too:"
                f" {reason(error).removeprefix(f'connector {connector}: ')}; mend the source or the connector's"
                " `connection`, and try again"
            ) from None

    result = pooled(installation, previewed)
    if as_json:
        typer.echo(orjson.dumps(_document(result)))
    else:
        _print(result, limit)


def forget(
    connector: IdArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, however many entities there are.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Publish deletes of all that a connector holds, and pause it. It need not be configured any more.

    A connector whose changes others publish is not paused: what they publish next counts. An entity for which
    another connector vouches stays, without what this one said. More entities than the connector's deletion guard
    lets pass are asked about.

    \b
    Example:
      mainstem connectors forget backstage-old
    """
    installation = opened(config, data_dir)
    from sources import forgetting  # noqa: PLC0415 - not every command needs the sources
    from sources.publisher import Publisher  # noqa: PLC0415

    configured = installation.config.connector(connector)
    whose = forgetting.Whose(
        connector=connector,
        tenant=configured.tenant if configured else DEFAULT_TENANT,
        cluster=installation.cluster.cluster_id(),
        by=who(),
        runs_here=all(each.runs_here for each in steerable(installation.config) if each.id == connector),
    )
    _require_topic(installation, connector)
    count = len(pooled(installation, lambda pool: forgetting.holdings(pool, whose)))
    guard = configured.deletion_guard if configured else None
    limits = Limits(max_count=guard.max_count, max_percent=guard.max_percent) if guard else Limits()
    _ask(connector, count, yes=yes or allows(count, held=0, entities=count, limits=limits))
    publisher = Publisher(installation.client, installation.topics.changes(connector))
    with RecordsBar("deleting", count) as bar:
        done = pooled(
            installation,
            lambda pool: forgetting.forget(pool, publisher, whose, told=lambda each: bar.show(each, count)),
        )
    if as_json:
        typer.echo(orjson.dumps({"connector_id": connector, "deleted": done}))
    else:
        then = f"{connector} is paused" if whose.runs_here else "what others publish next counts"
        typer.echo(f"{connector}: {counted(done, 'entity')} deleted; {then}")


def _require_topic(installation: Installation, connector: str) -> None:
    """Raises UnknownNameError for an id that is neither configured nor has a topic: it is a slip."""
    try:
        installation.cluster.require([installation.topics.changes_definition(connector)])
    except TopicMismatchError:
        if connector in installation.connector_ids:
            raise
        known = ", ".join(sorted(installation.connector_ids)) or "none"
        raise UnknownNameError(
            f"there is no connector {connector}: it is not configured, and has no topic; configured are: {known}"
        ) from None


def _ask(connector: str, count: int, *, yes: bool) -> None:
    if yes:
        return
    if not typer.get_text_stream("stdin").isatty():
        raise ConfigError(
            f"connector {connector} holds {counted(count, 'entity')}, more than its deletion guard lets pass:"
            " repeat with --yes"
        )
    typer.confirm(f"Delete all that connector {connector} holds, {counted(count, 'entity')}?", abort=True)


def _document(result: "Preview") -> dict[str, Any]:
    return {
        "new": result.new,
        "changed": result.changed,
        "unchanged": result.unchanged,
        "filtered": result.filtered,
        "refused": [{"place": place, "reason": reason} for place, reason in result.refused],
        "deleted": result.deleted,
        "held": result.held,
        "problem": result.problem,
        "doubts": result.doubts,
    }


def _print(result: "Preview", limit: int) -> None:
    for title, refs in (
        ("would publish, new", result.new),
        ("would publish, changed", result.changed),
        ("would delete", result.deleted),
        ("would be held for approval", result.held),
        ("refused", [f"{place}: {reason}" for place, reason in result.refused]),
    ):
        if refs:
            typer.echo(f"{title}: {len(refs)}")
            for each in refs[:limit]:
                typer.echo(f"  {visible(each)}")
            if len(refs) > limit:
                typer.echo(f"  and {len(refs) - limit} more; --limit shows them")
    typer.echo(f"unchanged: {result.unchanged}, filtered out: {result.filtered}")
    if result.problem:
        typer.echo(f"nothing would be deleted of what was not read: {result.problem}")
    for doubt in result.doubts:
        typer.echo(f"warning: {visible(doubt)}")
