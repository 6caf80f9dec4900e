"""Options that every command takes, and what they lead to."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from mainstem import log
from mainstem.commands.layout import Commands
from mainstem.configuration.loading import is_written_here
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from schemas import writers
from schemas.errors import ConfigError

CONTEXT: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration; ./mainstem.yaml where it exists, else that of the `up` that runs.",
    ),
]
DataDirOption = Annotated[
    Path, typer.Option("--data-dir", metavar="DIR", help="Where an `up` on this machine keeps its data.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
TenantOption = Annotated[str, typer.Option("--tenant", metavar="TENANT", help="Whose entities it shows.")]
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


def opened(
    config: Path | None,
    data_dir: Path = DEFAULT_DATA_DIR,
    *,
    base_dir: Path | None = None,
    is_beside_up: bool = True,
) -> Installation:
    """Return the installation, after telling its warnings to whoever watches. From now on its schema ids hold.

    *is_beside_up*: where no configuration is named or is here, it is the one with which the running `up` began.
    """
    is_found_here = config is not None or is_written_here()
    found = Installation.beside(data_dir) if is_beside_up and not is_found_here else None
    installation = found or Installation.open(config, data_dir, base_dir=base_dir)
    writers.use(installation.schema_registry)
    for warning in installation.config.warnings:
        log.warn(warning)
    return installation


def require_tenant(installation: Installation, tenant: str) -> None:
    """Raise ConfigError unless *tenant* is configured."""
    known = sorted(each.id for each in installation.config.tenants)
    if tenant not in known:
        raise ConfigError(f"there is no tenant {tenant}; configured are {', '.join(known)}")
