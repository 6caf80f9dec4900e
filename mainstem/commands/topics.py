"""`mainstem topics create|check`."""

from typing import Annotated

import typer

from mainstem.commands.options import ConfigOption, DataDirOption, group, opened
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from schemas.errors import ConfigError, TopicMismatchError
from schemas.topics import CONNECTOR_ID, TopicDefinition

app = group("The Kafka topics.")

ConnectorOption = Annotated[
    list[str] | None, typer.Option("--connector", metavar="ID", help="A connector that is not configured; repeatable.")
]


@app.command("create")
def create(
    connector: ConnectorOption = None, config: ConfigOption = None, data_dir: DataDirOption = DEFAULT_DATA_DIR
) -> None:
    """Make the topics that do not exist yet: of every configured connector, and of those named.

    Example: mainstem topics create --connector pagerduty
    """
    installation = opened(config, data_dir)
    definitions = _definitions(installation, connector or [])
    created = installation.cluster.create(definitions)
    for name in created:
        typer.echo(f"created {name}")
    typer.echo(f"{len(created)} created, {len(definitions) - len(created)} were there")


@app.command("check")
def check(
    connector: ConnectorOption = None, config: ConfigOption = None, data_dir: DataDirOption = DEFAULT_DATA_DIR
) -> None:
    """Compare the topics that exist with what Mainstem needs; exit code 1 when they differ.

    Example: mainstem topics check
    """
    installation = opened(config, data_dir)
    definitions = _definitions(installation, connector or [])
    rows = installation.cluster.check(definitions)
    if rows:
        raise TopicMismatchError("\n".join(rows))
    typer.echo(f"{len(definitions)} topics are as they should be")


def _definitions(installation: Installation, further: list[str]) -> list[TopicDefinition]:
    for connector in further:
        if not CONNECTOR_ID.fullmatch(connector):
            raise ConfigError(f"--connector {connector}: a connector id is 1 to 63 of a-z, 0-9 and '-'")
    return installation.topics.definitions(dict.fromkeys([*installation.connector_ids, *further]))
