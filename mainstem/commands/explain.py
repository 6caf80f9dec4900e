"""`mainstem entities explain`: per field who won, who lost, and why."""

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mainstem.api import shapes
from mainstem.commands.entities import NotFound
from mainstem.commands.options import ConfigOption, DataDirOption, JsonOption, opened
from mainstem.commands.progress import RecordsBar
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from mainstem.policies import policy_of
from mainstem.terminal import cell
from schemas.canonical import canonical_json
from schemas.errors import ConfigError
from schemas.records import NEVER
from schemas.refs import DEFAULT_TENANT, EntityRef, entity_key
from streams.explain import Explanation, Leaf, explain

_SHOWN: Final = 200
"""Characters of a value in a table."""


def explain_entity(
    ref: Annotated[str, typer.Argument(metavar="REF", help="kind:namespace/name, in any case.")],
    field: Annotated[
        str, typer.Option("--field", metavar="POINTER", help="Only this field and what is below, as /spec/owner.")
    ] = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Show per field which connector won, which lost, and why.

    Merges what the processor holds, as it would now, by the rules of this configuration.

    Example: mainstem entities explain component:default/pay --field /spec/owner
    """
    try:
        parsed = EntityRef.parse(ref)
    except ValueError as error:
        raise ConfigError(f"{ref}: {error}") from None
    if field and not field.startswith("/"):
        raise ConfigError(f"--field {field}: a pointer begins with /, such as /spec/owner")
    found = _explained(opened(config, data_dir), parsed)
    leaves = found.at(field)
    if found.entity is not None and not leaves:
        raise NotFound(f"no connector says anything about {field} of {parsed}")
    if as_json:
        typer.echo(canonical_json(shapes.explanation(str(parsed), found, leaves)))
    else:
        show(str(parsed), found, leaves, console=Console())


def show(ref: str, found: Explanation, leaves: Iterable[Leaf], *, console: Console) -> None:
    """Print the records of an entity, and a table of its fields with a row for each claim."""
    console.print(_records(ref, found))
    if found.entity is None:
        console.print(cell(f"{ref} does not exist: no live record asserts it"))
        return
    table = Table("field", "by", "connector", "value", "", box=box.SIMPLE)
    for leaf in leaves:
        rows = [(", ".join(leaf.winners) or "-", leaf.value, "won" if leaf.winners else "left out")]
        rows += [(loser.connector, loser.value, f"lost: {loser.reason}") for loser in leaf.losers]
        for number, (connector, value, verdict) in enumerate(rows):
            at, by = (leaf.pointer, leaf.strategy) if number == 0 else ("", "")
            table.add_row(*map(cell, (at, by, connector, _text(value), verdict)))
    console.print(table)


def _explained(installation: Installation, ref: EntityRef) -> Explanation:
    policy = policy_of(installation.config)
    with RecordsBar("reading what is held") as bar:
        from mainstem.changelog import held  # noqa: PLC0415 - brings the engine, which no other command needs

        records, outages = held(
            installation.client, installation.topics, entity_key(DEFAULT_TENANT, ref), show=bar.show
        )
    if records is None:
        raise NotFound(f"nothing is held about {ref}: no connector ever spoke of it, or all is forgotten")
    policy = replace(policy, outages=outages.intervals)
    return explain(records.by_connector.values(), policy, now=time.time() * 1000)


def _records(ref: str, found: Explanation) -> Table:
    table = Table(
        "connector", "record", "priority", "asserts it", box=box.SIMPLE, title=cell(ref), title_justify="left"
    )
    for one in found.standings:
        priority = "above all" if one.priority == NEVER else str(int(one.priority))
        shown = (one.connector, one.life, priority, "yes" if one.asserts_existence else "no")
        table.add_row(*map(cell, shown))
    return table


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
