"""`mainstem db migrate|check`."""

from typing import Annotated

import typer

from mainstem.commands.options import ConfigOption, DataDirOption, group, opened
from mainstem.installation import DEFAULT_DATA_DIR
from schemas.errors import UnavailableError

app = group("The Postgres schema.")


@app.command("migrate")
def migrate(
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    sql: Annotated[bool, typer.Option("--sql", help="Print the migrations as SQL and run nothing.")] = False,
) -> None:
    """Bring the database to the newest schema.

    Example: mainstem db migrate --sql > schema.sql
    """
    from schemas import database  # noqa: PLC0415 - Alembic costs a second

    if sql:
        typer.echo(database.offline_sql(), nl=False)
        return
    database.migrate(opened(config, data_dir).dsn)
    typer.echo("the schema is up to date")


@app.command("check")
def check(config: ConfigOption = None, data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Tell whether the schema is the newest; exit code 1 when it is not.

    Example: mainstem db check
    """
    from schemas import database  # noqa: PLC0415

    outdated = database.check(opened(config, data_dir).dsn)
    if outdated:
        raise UnavailableError(outdated)
    typer.echo("the schema is up to date")
