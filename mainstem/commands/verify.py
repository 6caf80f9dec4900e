"""`mainstem verify`."""

from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer

from mainstem.commands.options import ConfigOption, DataDirOption, JsonOption, opened
from mainstem.commands.progress import RecordsBar
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from mainstem.terminal import cell, counted, screen, table
from mainstem.verification.sides import Difference

if TYPE_CHECKING:
    from mainstem.verification.verification import Report

SHOWN: Final = 50


def verify(
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Show so many differences.")] = SHOWN,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Merge the held records anew and compare with the entities topic and the tables; exit code 1 when they differ.

    Everything may go on running meanwhile.

    Example: mainstem verify --json | jq .differences
    """
    installation = opened(config, data_dir)
    report = _verified(installation)
    if as_json:
        typer.echo(orjson.dumps(_document(report, limit)))
    else:
        _print(report, limit)
    if report.differences:
        raise typer.Exit(1)


def _verified(installation: Installation) -> "Report":
    from mainstem.policies import policy_of  # noqa: PLC0415 - not every command needs the engine and the sinks
    from mainstem.roles.sink import settings_of  # noqa: PLC0415
    from mainstem.verification.tables import Tables  # noqa: PLC0415
    from mainstem.verification.topics import Reader  # noqa: PLC0415
    from mainstem.verification.verification import Verification  # noqa: PLC0415

    settings = settings_of(installation, "postgres")
    tables = Tables(settings.dsn, settings.name, settings.service_kinds)
    reader = Reader(dict(settings.client), settings.topics, policy_of(installation.config))
    try:
        with RecordsBar("verifying") as bar:
            return Verification(reader, tables, settings.topics.partitions).run(bar.show)
    finally:
        reader.close()
        tables.close()


def _document(report: "Report", limit: int) -> dict[str, object]:
    return {
        "entities": report.entities,
        "count": len(report.differences),
        "unsettled": report.unsettled,
        "differences": [_shown(each) for each in report.differences[:limit]],
    }


def _shown(each: Difference) -> dict[str, object]:
    return {
        "tenant": each.tenant,
        "entityRef": each.entity_ref,
        "side": each.side,
        "difference": each.sentence,
        "details": each.details,
    }


def _print(report: "Report", limit: int) -> None:
    if report.differences:
        shown = table("entity", "side", "difference")
        for each in report.differences[:limit]:
            shown.add_row(*map(cell, (each.entity_ref, each.side, each.sentence)))
        screen().print(shown)
        hidden = len(report.differences) - limit
        if hidden > 0:
            typer.echo(f"and {hidden} more; --limit shows them")
    typer.echo(f"{counted(report.entities, 'entity')} compared, {counted(len(report.differences), 'difference')}")
    if report.unsettled:
        typer.echo(f"{report.unsettled} changed at every look: verify again for them")
