"""`mainstem entities explain`: per field who won, who lost, and why."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from mainstem.api import shapes
from mainstem.commands.entities import NotFound
from mainstem.commands.options import ConfigOption, DataDirOption, JsonOption, TenantOption, opened, require_tenant
from mainstem.commands.progress import RecordsBar
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from mainstem.policies import policy_of
from mainstem.terminal import cell, screen, table
from schemas.canonical import canonical_json
from schemas.errors import ConfigError
from schemas.records import NEVER
from schemas.refs import DEFAULT_TENANT, EntityRef, entity_key
from streams.explain import Explanation, Leaf, explain

_SHOWN: Final = 200
"""Characters of a value in a table."""
_WIDE: Final = 110
"""Columns of a terminal from which on all that is said of a claim has room in one line."""


def explain_entity(
    ref: Annotated[str, typer.Argument(metavar="REF", help="kind:namespace/name, in any case.")],
    field: Annotated[
        str, typer.Option("--field", metavar="POINTER", help="Only this field and what is below, as /spec/owner.")
    ] = "",
    tenant: TenantOption = DEFAULT_TENANT,
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
    installation = opened(config, data_dir)
    require_tenant(installation, tenant)
    found = _explained(installation, tenant, parsed)
    leaves = found.at(field)
    if found.entity is not None and not leaves:
        raise NotFound(f"no connector says anything about {field} of {parsed}")
    if as_json:
        typer.echo(canonical_json(shapes.explanation(str(parsed), found, leaves)))
    else:
        show(str(parsed), found, leaves, console=screen())


def show(ref: str, found: Explanation, leaves: Iterable[Leaf], *, console: Console) -> None:
    """Print the records of an entity, and a table of its fields with a row for each claim."""
    console.print(_records(ref, found))
    if found.entity is None:
        console.print(cell(f"{ref} does not exist: no live record asserts it"))
        return
    if console.width < _WIDE:
        _print_narrow(leaves, console)
        return
    fields = table("field", "by", "connector", "value", "")
    for leaf in leaves:
        for number, claim in enumerate(_claims(leaf)):
            about = (leaf.pointer, leaf.strategy) if number == 0 else ("", "")
            fields.add_row(*map(cell, (*about, *claim)))
    console.print(fields)


def _print_narrow(leaves: Iterable[Leaf], console: Console) -> None:
    """Print a field's name above its claims: beside them, each column would be a few letters wide."""
    for leaf in leaves:
        console.print(cell(f"{leaf.pointer}  by {leaf.strategy}"), style="bold")
        claims = Table(box=None, show_header=False, padding=(0, 0, 0, 2), expand=True)
        for share in (3, 4, 3):
            claims.add_column(overflow="fold", ratio=share)
        for claim in _claims(leaf):
            claims.add_row(*map(cell, claim))
        console.print(claims)


def _claims(leaf: Leaf) -> Iterator[tuple[str, str, str]]:
    """Yield connector, value and verdict of each claim, the winner's first."""
    yield ", ".join(leaf.winners) or "-", _text(leaf.value), "won" if leaf.winners else "left out"
    yield from ((loser.connector, _text(loser.value), f"lost: {loser.reason}") for loser in leaf.losers)


def _explained(installation: Installation, tenant: str, ref: EntityRef) -> Explanation:
    policy = policy_of(installation.config)
    with RecordsBar("reading what is held") as bar:
        from mainstem.changelog import held  # noqa: PLC0415 - brings the engine, which no other command needs

        records, outages = held(installation.client, installation.topics, entity_key(tenant, ref), show=bar.show)
    if records is None:
        raise NotFound(f"nothing is held about {ref}: no connector ever spoke of it, or all is forgotten")
    policy = replace(policy, outages=outages.intervals)
    return explain(records.by_connector.values(), policy, now=time.time() * 1000)


def _records(ref: str, found: Explanation) -> Table:
    records = table("connector", "record", "priority", "asserts it", title=cell(ref), title_justify="left")
    for one in found.standings:
        priority = "above all" if one.priority == NEVER else str(int(one.priority))
        shown = (one.connector, one.life, priority, "yes" if one.asserts_existence else "no")
        records.add_row(*map(cell, shown))
    return records


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
