"""The role `sinks`: one sink, as one member of its consumer group."""

from mainstem.installation import Installation
from mainstem.roles.health import Progress
from mainstem.roles.role import RoleOptions, present, stop_thread_on_signals
from schemas.database import check
from schemas.errors import ConfigError, UnavailableError
from schemas.metrics import SinkMetrics
from sinks.base import Sink, SinkSettings
from sinks.registry import create
from sinks.runner import SinkRunner


def run(installation: Installation, name: str, options: RoleOptions) -> None:
    """Run the sink *name* until a signal."""
    configured = installation.config.sinks.get(name)
    if configured is not None and not configured.enabled:
        raise ConfigError(f"sinks.{name}: enabled is false; set it to true to run the sink")
    sink = create(settings_of(installation, name))
    require_topics(installation, sink)
    stop = stop_thread_on_signals()
    runner = SinkRunner(sink, metrics=SinkMetrics(name))
    progress = Progress(lambda: runner.lag, lambda: runner.done)
    present(options, progress.readiness)
    runner.run(stop)


def settings_of(installation: Installation, name: str) -> SinkSettings:
    """Return what the sink *name* is given, enabled or not. Raises UnavailableError for a database without tables."""
    configured = installation.config.sinks.get(name)
    return SinkSettings(
        name=name,
        topics=installation.topics,
        client=installation.client,
        dsn=_database(installation) if name == "postgres" else "",
        keep_vanished=installation.config.postgres.keep_vanished,
        options=configured.options if configured is not None else {},
    )


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
