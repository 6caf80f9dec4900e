"""The command line. Each command is a few lines here and its work elsewhere, imported when it is called."""

import importlib.metadata
import os
import sys
from typing import Annotated, Final

import typer

from mainstem import log
from mainstem.commands import (
    assistant,
    connector_changes,
    connectors,
    database,
    dead_letters,
    demo,
    entities,
    explain,
    publish,
    rebuild,
    roles,
    tokens,
    topics,
    up,
    verify,
)
from mainstem.commands.configuration import configuration_check
from mainstem.commands.layout import Commands
from mainstem.commands.options import CONTEXT
from schemas.errors import MainstemError

app: Final = Commands(
    name="mainstem",
    help="Joins what many systems know about the same services into one catalogue, as a stream.",
    no_args_is_help=True,
    add_completion=False,
    context_settings=CONTEXT,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        typer.echo(f"mainstem {importlib.metadata.version('mainstem')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("publish")(publish.publish)
app.command("verify")(verify.verify)
app.add_typer(roles.processor, name="processor")
app.add_typer(roles.connectors, name="connectors")
for name, command in connectors.COMMANDS.items():
    roles.connectors.command(name)(command)
roles.connectors.command("diff")(connector_changes.diff)
roles.connectors.command("forget")(connector_changes.forget)
app.add_typer(roles.sinks, name="sinks")
roles.sinks.command("rebuild")(rebuild.rebuild)
app.add_typer(roles.api, name="api")
app.add_typer(topics.app, name="topics")
app.add_typer(database.app, name="db")
app.add_typer(tokens.app, name="tokens")
entities.app.command("explain")(explain.explain_entity)
app.add_typer(entities.app, name="entities")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(configuration_check, name="config")
app.command("mcp")(assistant.mcp)


def main() -> None:
    """Run the command line. A failure is one sentence on standard error and exit code, never a stack trace: 1, or
    78 where the configuration or the command line has to be changed first.
    """
    log.configure()
    try:
        app()
    except MainstemError as error:
        log.log_end(error)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        # Who read our output left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
