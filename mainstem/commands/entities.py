"""`mainstem entities list|get`: the merged view, read from Postgres."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import psycopg
import typer
from psycopg.rows import dict_row
from rich.console import Console

import mainstem.api
from mainstem.api import shapes
from mainstem.commands.options import (
    ConfigOption,
    DataDirOption,
    JsonOption,
    TenantOption,
    group,
    opened,
    require_tenant,
)
from mainstem.installation import DEFAULT_DATA_DIR
from mainstem.terminal import cell, screen, table
from schemas.database import sentences
from schemas.errors import ConfigError, MainstemError
from schemas.refs import DEFAULT_TENANT, EntityRef
from schemas.statements import statements

app = group("Merged entities.")

PAGE: Final = 500
_QUERIES: Final = statements(Path(mainstem.api.__file__).with_name("queries.sql"))
_FILTERS: Final = ("kinds", "spelled_owners", "tiers", "lifecycles", "tags", "refs", "q")


class NotFound(MainstemError):  # noqa: N818 - no fault of anybody's
    """No merged entity has that reference."""


@app.command("list")
def list_entities(
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Only this kind; repeatable.")
    ] = None,
    q: Annotated[str | None, typer.Option("--q", metavar="WORDS", help="Only entities with these words.")] = None,
    tenant: TenantOption = DEFAULT_TENANT,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """List merged entities.

    Example: mainstem entities list --kind component --q payments
    """
    dsn = _dsn(config, data_dir, tenant)
    filters = {"kinds": [each.lower() for each in kind] if kind else None, "q": _query(dsn, q) if q else None}
    rows = _listed(dsn, {**filters, "tenant": tenant})
    if as_json:
        for row in rows:
            typer.echo(_json(row))
        return
    found = table("entity", "owner", "lifecycle", "stale")
    for row in rows:
        spec = row["entity"].get("spec", {})
        shown = (row["entity_ref"], _text(spec.get("owner")), _text(spec.get("lifecycle")), ", ".join(row["stale"]))
        found.add_row(*map(cell, shown))
    screen().print(found if found.row_count else "no entities match")


@app.command("get")
def get(
    ref: Annotated[str, typer.Argument(metavar="REF", help="kind:namespace/name, in any case.")],
    tenant: TenantOption = DEFAULT_TENANT,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Show one merged entity: each field, and the connector that gave it.

    Example: mainstem entities get component:default/pay
    """
    try:
        parsed = EntityRef.parse(ref)
    except ValueError as error:
        raise ConfigError(f"{ref}: {error}") from None
    asked = {"tenant": tenant, "ref": str(parsed)}
    row = next(_rows(_dsn(config, data_dir, tenant), "get_entity", asked), None)
    if row is None:
        raise NotFound(f"there is no entity {parsed}")
    if as_json:
        typer.echo(_json(row))
    else:
        show(row, screen())


def show(row: dict[str, Any], console: Console) -> None:
    """Print one row of `entities` as a table of fields, values and winners."""
    stale = f", stale: {', '.join(row['stale'])}" if row["stale"] else ""
    title = cell(f"{row['entity_ref']}{stale}")
    fields = table("field", "value", "from", title=title, title_justify="left")
    for at, winners in sorted(row["provenance"].items()):
        names = winners if isinstance(winners, str) else ", ".join(winners)
        fields.add_row(*map(cell, (at, _text(value_at(row, at)), names)))
    console.print(fields)


def value_at(row: dict[str, Any], at: str) -> Any:
    """Return the value at a pointer as in `provenance`."""
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in at.split("/")[1:]]
    value: Any = row if tokens[0] == "service" else row["entity"]
    for token in tokens:
        value = value[token]
    return value


def _dsn(config: Path | None, data_dir: Path, tenant: str) -> str:
    installation = opened(config, data_dir)
    require_tenant(installation, tenant)
    return installation.dsn


def _query(dsn: str, words: str) -> str:
    """Return how Postgres looks for all of *words*."""
    (row,) = _rows(dsn, "query_of", {"words": words})
    return str(row["query"])


def _listed(dsn: str, filters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    after = ""
    while True:
        parameters = {**dict.fromkeys(_FILTERS), **filters, "after": after, "limit": PAGE}
        rows = list(_rows(dsn, "list_entities", parameters))
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1]["entity_ref"]


def _rows(dsn: str, query: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with sentences(dsn), psycopg.connect(dsn, connect_timeout=10, row_factory=dict_row) as connection:
        rows = connection.execute(_QUERIES[query], parameters).fetchall()
    yield from rows


def _json(row: dict[str, Any]) -> str:
    return orjson.dumps(shapes.entity(row)).decode()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
