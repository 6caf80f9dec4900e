"""Whether what the configuration names is installed. Start-up and `config check` ask; loading does not."""

from collections.abc import Collection

from mainstem.config import Config
from mainstem.configuration.faults import did_you_mean
from schemas.errors import ConfigError


def check_types(config: Config, known: Collection[str]) -> None:
    """Raise ConfigError with every connector whose type is not in *known*, the entry points of `mainstem.sources`."""
    lines = [
        f"{config.origin.place(each.connector_id, 'type')}: {_not_installed(each.type, known)}"
        for each in config.connectors
        if each.type not in known
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def check_sinks(config: Config, known: Collection[str]) -> None:
    """Raise ConfigError with every enabled sink that is not in *known*, the entry points of `mainstem.sinks`."""
    lines = [
        f"{config.origin.file}: sinks.{name}: {_not_installed(name, known)}"
        for name, sink in config.sinks.items()
        if sink.enabled and name not in known
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def _not_installed(name: str, known: Collection[str]) -> str:
    installed = f"installed: {', '.join(sorted(known)) or 'none'}"
    remedy = did_you_mean(name, known, among="installed")
    return f"{name} is not installed; {remedy}" + (f" {installed}" if remedy.startswith("did") else "")
