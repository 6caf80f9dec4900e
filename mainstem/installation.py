"""One installation as a command sees it: its configuration, where Kafka and Postgres are, its topics."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from mainstem.cluster import Client, Cluster, client_settings
from mainstem.config import Config
from mainstem.configuration.faults import nearest
from mainstem.configuration.loading import load
from mainstem.configuration.plugins import check_sinks, check_types
from schemas.database import where
from schemas.errors import ConfigError, TopicMismatchError, UnavailableError
from schemas.topics import ExistingTopic, Topics

if TYPE_CHECKING:
    from schemas.registry import Registry

DEFAULT_DATA_DIR: Final = Path(".mainstem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a running `up` wrote about itself into its data directory."""

    pid: int
    kafka: str
    postgres: str
    api: str | None = None
    config: Path | None = None
    """The copy of the configuration with which it began."""
    base_dir: Path | None = None
    """Where the paths in that begin."""
    connectors: frozenset[str] | None = None
    """The enabled ones in it; None where it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The edge's answer to every question about settings; nothing below it reads files or the environment."""

    config: Config
    data_dir: Path
    running: Running | None

    @classmethod
    def open(cls, config_file: Path | None, data_dir: Path, *, base_dir: Path | None = None) -> "Installation":
        """Read the configuration, and find a running `up` of *data_dir*. Raises ConfigError.

        *base_dir*: where paths in the configuration begin, if that is not the directory of its file.
        """
        config = load(config_file, environ=os.environ, base_dir=base_dir)
        return cls(config=config, data_dir=data_dir, running=find_running(data_dir))

    @classmethod
    def beside(cls, data_dir: Path) -> "Installation | None":
        """As :meth:`open`, with the configuration with which the `up` of *data_dir* began; None where none runs."""
        running = find_running(data_dir)
        if running is None or running.config is None:
            return None
        try:
            config = load(running.config, environ=os.environ, base_dir=running.base_dir)
        except ConfigError as error:
            raise ConfigError(
                f"{error}\nit is the configuration with which the `up` of {data_dir} began: set here what was set"
                " there, or name one with --config"
            ) from None
        return cls(config=config, data_dir=data_dir, running=running)

    @property
    def is_kafka_embedded(self) -> bool:
        return self.config.kafka.bootstrap_servers is None

    @property
    def topics(self) -> Topics:
        embedded = self.is_kafka_embedded
        return Topics(
            prefix=self.config.topics.prefix,
            partitions=self.config.topics.partition_count(embedded=embedded),
            replication_factor=self.config.topics.replica_count(embedded=embedded),
        )

    @property
    def bootstrap_servers(self) -> str:
        """Raises UnavailableError when no Kafka is configured and no `up` runs."""
        configured = self.config.kafka.bootstrap_servers
        return configured or self._running("Kafka", "kafka.bootstrap_servers").kafka

    @property
    def client(self) -> Client:
        return client_settings(self.config.kafka, self.bootstrap_servers)

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.client)

    @property
    def dsn(self) -> str:
        """Raises UnavailableError when no Postgres is configured and no `up` runs, ConfigError for what is no DSN."""
        configured = self.config.postgres.dsn
        dsn = configured.get_secret_value() if configured else self._running("Postgres", "postgres.dsn").postgres
        where(dsn)
        return dsn

    @property
    def schema_registry(self) -> "Registry | None":
        """A new client of the schema registry; None where none is configured. Raises ConfigError for a wrong URL."""
        configured = self.config.kafka.schema_registry
        if configured is None:
            return None
        from schemas.registry import Registry  # noqa: PLC0415 - half a second, spent only where one is configured

        password = configured.password.get_secret_value() if configured.password else None
        return Registry(configured.url, username=configured.username, password=password)

    @property
    def connector_ids(self) -> list[str]:
        return [each.connector_id for each in self.config.connectors]

    def existing_changes(self, connector_id: str) -> ExistingTopic:
        """Return a connector's changes topic as the broker has it. Raises TopicMismatchError where it is not there."""
        topic = self.topics.changes(connector_id)
        found = self.cluster.existing([topic]).get(topic)
        if found is None:
            near = nearest(connector_id, self.connector_ids)
            meant = f"; did you mean connector {near}?" if near and near != connector_id else ""
            remedy = f"run `mainstem topics create --connector {connector_id}`"
            raise TopicMismatchError(f"topic {topic} does not exist; {remedy}{meant}")
        return found

    def up_began_without(self, connector_id: str) -> bool:
        """Whether the `up` that runs here began before that connector was configured, or enabled."""
        running = self.running
        if running is None or running.connectors is None or running.postgres != self.dsn:
            return False
        return connector_id not in running.connectors

    def check_plugins(self) -> None:
        """Refuse connectors, sinks and rules of types that are not installed, and expressions that are none."""
        for each in self.plugin_checks():
            each()

    def plugin_checks(self) -> tuple[Callable[[], object], ...]:
        """Return what :meth:`check_plugins` does, one by one: each raises ConfigError with all that it finds."""
        from mainstem.connector_settings import check_expressions  # noqa: PLC0415 - not every command needs them
        from mainstem.policies import policy_of  # noqa: PLC0415
        from sinks import registry as sinks  # noqa: PLC0415
        from sources import registry as sources  # noqa: PLC0415

        return (
            lambda: check_types(self.config, sources.installed()),
            lambda: check_sinks(self.config, sinks.installed()),
            lambda: policy_of(self.config),
            lambda: check_expressions(self.config),
        )

    def _running(self, service: str, key: str) -> Running:
        if self.running is None:
            raise UnavailableError(
                f"no {service} is configured, and no `mainstem up` runs on {self.data_dir}:"
                f" start `mainstem up`, or set {key}, or name its --data-dir"
            )
        return self.running


def running_file(data_dir: Path) -> Path:
    return data_dir / "up.json"


def find_running(data_dir: Path) -> Running | None:
    """Return what the `up` of *data_dir* wrote, or None when it wrote nothing or is gone."""
    try:
        found = orjson.loads(running_file(data_dir).read_bytes())
        running = Running(
            pid=found["pid"],
            kafka=found["kafka"],
            postgres=found["postgres"],
            api=found.get("api"),
            config=Path(found["config"]) if "config" in found else None,
            base_dir=Path(found["base_dir"]) if "base_dir" in found else None,
            connectors=frozenset(found["connectors"]) if "connectors" in found else None,
        )
        os.kill(running.pid, 0)
    except (OSError, orjson.JSONDecodeError, KeyError):
        return None
    return running


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write *path* as :func:`write_private` does."""
    write_private(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_private(path: Path, data: bytes) -> None:
    """Write *path* in one step: a reader finds the old content or the new one, never a part.

    For its owner alone: it may hold a password of the database.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)
