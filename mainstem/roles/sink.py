"""The role `sinks`: one sink, as one member of its consumer group."""

import os
from dataclasses import replace
from typing import Final

from prometheus_client import REGISTRY

from mainstem.config import Config
from mainstem.configuration.secrets import SecretRef
from mainstem.installation import Installation
from mainstem.roles.health import Progress
from mainstem.roles.role import RoleOptions, present, stop_thread_on_signals
from schemas.database import check
from schemas.errors import ConfigError, UnavailableError
from schemas.metrics import SinkMetrics
from sinks.base import DEFAULT_SERVICE_KINDS, Sink, SinkSettings
from sinks.registry import create
from sinks.runner import SinkRunner

_IN_THE_DATABASE: Final = ("backstage", "postgres")
"""Sinks that keep something in Mainstem's own database."""


def run(installation: Installation, name: str, options: RoleOptions) -> None:
    """Run the sink *name* until a signal."""
    configured = installation.config.sinks.get(name)
    if configured is not None and not configured.enabled:
        raise ConfigError(f"sinks.{name}: enabled is false; set it to true to run the sink")
    sink = create(replace(settings_of(installation, name), registry=REGISTRY))
    require_topics(installation, sink)
    stop = stop_thread_on_signals()
    runner = SinkRunner(sink, metrics=SinkMetrics(name))
    progress = Progress(lambda: runner.lag, lambda: runner.done)
    present(options, progress.readiness)
    runner.run(stop)


def settings_of(installation: Installation, name: str) -> SinkSettings:
    """Return what the sink *name* is given, enabled or not. Raises UnavailableError for a database without tables."""
    configured = installation.config.sinks.get(name)
    base_dir = installation.config.origin.base_dir
    return SinkSettings(
        name=name,
        topics=installation.topics,
        client=installation.client,
        dsn=_database(installation) if name in _IN_THE_DATABASE else "",
        keep_vanished=installation.config.postgres.keep_vanished,
        service_kinds=service_kinds(installation.config),
        options=configured.options if configured is not None else {},
        secret=lambda ref: SecretRef(secret_ref=ref).resolve(os.environ, base_dir).get_secret_value(),
    )


def service_kinds(config: Config) -> tuple[str, ...]:
    """Return the kinds of entities that are services: those that incident tools are told of."""
    told = config.sinks["incidents"].options.get("kinds", DEFAULT_SERVICE_KINDS)
    # Anything else is for the sink `incidents` to refuse.
    are_kinds = isinstance(told, list | tuple) and all(isinstance(kind, str) for kind in told)
    return tuple(kind.lower() for kind in told) if are_kinds else DEFAULT_SERVICE_KINDS


def require_topics(installation: Installation, sink: Sink) -> None:
    """Raise TopicMismatchError unless *sink* can trust the topics that it uses."""
    topics = installation.topics
    used = {
        *sink.topics,
        topics.dead_letters,
        *((topics.service_updated,) if sink.settings.name == "incidents" else ()),
    }
    installation.cluster.require(each for each in topics.definitions(()) if each.name in used)


def _database(installation: Installation) -> str:
    dsn = installation.dsn
    outdated = check(dsn)
    if outdated:
        raise UnavailableError(f"{outdated}; run `mainstem db migrate`")
    return dsn
