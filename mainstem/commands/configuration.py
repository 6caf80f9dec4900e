"""`mainstem config check`."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import typer

from mainstem import log
from mainstem.commands.options import ConfigOption, DataDirOption, group, opened
from mainstem.configuration.connector import ConnectorConfig
from mainstem.configuration.loading import load_rest
from mainstem.configuration.secrets import SecretRef, secret_refs
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from mainstem.terminal import counted
from schemas.errors import ConfigError

configuration_check: Final = group("Check the configuration.")


@configuration_check.command("check")
def check(config: ConfigOption = None, data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Read the configuration and name everything in it that cannot be used.

    Example: mainstem config check --config mainstem.yaml
    """
    try:
        installation = opened(config, data_dir, is_beside_up=False)
    except ConfigError as error:
        raise ConfigError("\n".join([str(error), *_faults_of_the_rest(config, data_dir)])) from None
    if faults := list(_faults(installation)):
        raise ConfigError("\n".join(faults))
    _warn_of_missing_directories(installation)
    _warn_of_missing_secrets(installation)
    told = counted(len(installation.config.connectors), "connector")
    origin = installation.config.origin
    if origin.file in origin.texts:
        typer.echo(f"{origin.file}: right; {told}")
    else:
        typer.echo(f"there is no {origin.file}: the defaults hold; {told}")


def _faults_of_the_rest(config: Path | None, data_dir: Path) -> list[str]:
    """Return what is wrong beside what cannot even be read, so that nobody has to come back for it."""
    rest = load_rest(config, environ=os.environ)
    return [] if rest is None else list(_faults(Installation(config=rest, data_dir=data_dir, running=None)))


def _faults(installation: Installation) -> Iterator[str]:
    """Yield what types, expressions and settings of connectors are no good, a line each."""
    from mainstem.roles.connectors import check_sources  # noqa: PLC0415 - not every command needs the sources

    checks: tuple[Callable[[], object], ...] = (*installation.plugin_checks(), lambda: check_sources(installation))
    for each in checks:
        try:
            each()
        except ConfigError as error:
            yield from str(error).splitlines()


def _enabled(installation: Installation) -> Iterator[tuple[str, ConnectorConfig]]:
    """Yield the enabled connectors, each behind the place that it has in the configuration."""
    origin = installation.config.origin
    for each in installation.config.connectors:
        if each.enabled:
            yield origin.places.get(each.connector_id, each.connector_id), each


def _warn_of_missing_directories(installation: Installation) -> None:
    """A directory may come later, or be on another machine; more likely its path is a slip."""
    base_dir = installation.config.origin.base_dir
    for place, each in _enabled(installation):
        path = each.connection.get("path")
        if each.type == "git" and isinstance(path, str) and not (base_dir / path).is_dir():
            log.warn(f"{place}.connection.path: there is no directory {(base_dir / path).resolve()}")


def _warn_of_missing_secrets(installation: Installation) -> None:
    """Where the connectors run there may be what is missing here."""
    base_dir = installation.config.origin.base_dir
    for place, each in _enabled(installation):
        for key, ref in secret_refs(each.connection, "connection"):
            try:
                SecretRef(secret_ref=ref).resolve(os.environ, base_dir)
            except ConfigError as error:
                log.warn(f"{place}.{key}: {str(error).removeprefix('secret_ref: ')}")


@configuration_check.callback()
def _group() -> None:
    """Keeps `check` a command of its own although it is the only one."""
