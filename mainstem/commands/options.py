"""Options that every command takes, and what they lead to."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from mainstem import log
from mainstem.commands.layout import Commands
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from schemas import writers

CONTEXT: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration; ./mainstem.yaml where it exists."),
]
DataDirOption = Annotated[
    Path, typer.Option("--data-dir", metavar="DIR", help="Where an `up` on this machine keeps its data.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
MetricsPortOption = Annotated[
    int,
    typer.Option("--metrics-port", metavar="PORT", help="Port of /livez, /readyz and /metrics; 0 takes any free one."),
]
MetricsHostOption = Annotated[
    str, typer.Option("--metrics-host", metavar="HOST", help="Address that /metrics listens on.")
]
BaseDirOption = Annotated[Path | None, typer.Option("--base-dir", hidden=True)]
RunFileOption = Annotated[Path | None, typer.Option("--run-file", hidden=True)]


def group(help_text: str) -> Commands:
    """Return a group of commands that explains itself when called without one."""
    return Commands(help=help_text, no_args_is_help=True, context_settings=CONTEXT, rich_markup_mode=None)


def opened(config: Path | None, data_dir: Path = DEFAULT_DATA_DIR, *, base_dir: Path | None = None) -> Installation:
    """Return the installation, after telling its warnings to whoever watches. From now on its schema ids hold."""
    installation = Installation.open(config, data_dir, base_dir=base_dir)
    writers.use(installation.schema_registry)
    for warning in installation.config.warnings:
        log.warn(warning)
    return installation


configuration_check: Final = group("Check the configuration.")


@configuration_check.command("check")
def check(config: ConfigOption = None, data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Read the configuration and name everything in it that cannot be used.

    Example: mainstem config check --config mainstem.yaml
    """
    installation = opened(config, data_dir)
    from mainstem.roles.connectors import runnable  # noqa: PLC0415 - not every command needs the sources

    installation.check_plugins()
    runnable(installation)
    _warn_of_missing_directories(installation)
    count = len(installation.config.connectors)
    typer.echo(f"{installation.config.origin.file}: right; {count} connector{'' if count == 1 else 's'}")


def _warn_of_missing_directories(installation: Installation) -> None:
    """A directory may come later, or be on another machine; more likely its path is a slip."""
    origin = installation.config.origin
    for each in installation.config.connectors:
        path = each.connection.get("path")
        if each.enabled and each.type == "git" and isinstance(path, str) and not (origin.base_dir / path).is_dir():
            place = origin.places.get(each.connector_id, each.connector_id)
            log.warn(f"{place}.connection.path: there is no directory {(origin.base_dir / path).resolve()}")


@configuration_check.callback()
def _group() -> None:
    """Keeps `check` a command of its own although it is the only one."""
