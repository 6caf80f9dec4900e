"""`mainstem topics create|check|acls`."""

from typing import Annotated

import orjson
import typer

from mainstem.commands.options import ConfigOption, DataDirOption, JsonOption, group, opened
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


@app.command("acls")
def acls(
    principal_prefix: Annotated[
        str, typer.Option("--principal-prefix", metavar="TEXT", help="Begins each user's name; the role's ends it.")
    ] = "mainstem-",
    connector: ConnectorOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Print what Kafka has to allow: the least that each role and each connector needs. Asks nobody.

    The lines are for a shell: $ADMIN is the client configuration of somebody who may grant. Where the configuration
    names no Kafka, they ask $KAFKA for its address.

    Examples:
      mainstem topics acls | ADMIN=admin.properties sh -e
      mainstem topics acls | KAFKA=kafka.acme.com:9093 ADMIN=admin.properties sh -e
      mainstem topics acls --connector team-pay --principal-prefix CN=
    """
    from mainstem.acls import acls as needed  # noqa: PLC0415 - its name is the command's

    installation = opened(config, data_dir)
    sinks = [name for name, sink in installation.config.sinks.items() if sink.enabled]
    servers = installation.config.kafka.bootstrap_servers or '"$KAFKA"'
    role = None
    for acl in needed(
        installation.topics, _connectors(installation, connector or []), sinks, principal_prefix=principal_prefix
    ):
        if as_json:
            typer.echo(orjson.dumps(acl.as_json()).decode())
            continue
        if acl.role != role:
            typer.echo(f"# {acl.role}")
            role = acl.role
        typer.echo(acl.command(servers))


def _definitions(installation: Installation, further: list[str]) -> list[TopicDefinition]:
    return installation.topics.definitions(_connectors(installation, further))


def _connectors(installation: Installation, further: list[str]) -> list[str]:
    for connector in further:
        if not CONNECTOR_ID.fullmatch(connector):
            raise ConfigError(f"--connector {connector}: a connector id is 1 to 63 of a-z, 0-9 and '-'")
    return list(dict.fromkeys([*installation.connector_ids, *further]))
