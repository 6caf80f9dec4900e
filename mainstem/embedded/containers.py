"""Kafka and Postgres as containers, for whoever sets `MAINSTEM_EMBEDDED=docker`.

testcontainers is imported when the first one is asked for: it is an extra, `mainstem[docker]`.
"""

import hashlib
import os
import secrets
import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from mainstem.embedded.kafka import new_cluster_id
from mainstem.embedded.kafka_config import container_environment
from mainstem.embedded.lock import DataDirLock
from mainstem.embedded.ports import is_free, remembered_ports
from mainstem.embedded.service import EmbeddedService
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

KAFKA_IMAGE: Final = "apache/kafka:4.3.1"
POSTGRES_IMAGE: Final = "postgres:18"

_START_SECONDS: Final = 180
_LOG_LINES: Final = 30


def require_engine() -> None:
    """Raise UnavailableError unless testcontainers is installed and an engine answers: a client alone is not enough."""
    try:
        import docker  # noqa: PLC0415 - an extra
        import testcontainers  # noqa: F401, PLC0415
    except ImportError:
        raise UnavailableError(
            "MAINSTEM_EMBEDDED=docker needs the package testcontainers: install mainstem[docker],"
            " or unset MAINSTEM_EMBEDDED to embed without Docker"
        ) from None
    host = os.environ.get("DOCKER_HOST")
    socket = docker.utils.parse_host(host).removeprefix("http+unix://")
    if (socket.startswith("/") and not Path(socket).exists()) or not _answers(docker):
        raise UnavailableError(
            f"MAINSTEM_EMBEDDED=docker: no Docker engine answers at {host or socket}:"
            " start it, set DOCKER_HOST, or unset MAINSTEM_EMBEDDED to embed without Docker"
        )


def _answers(docker: Any) -> bool:
    # With a version of its own it asks nobody before `ping`.
    client = docker.from_env(version=docker.constants.DEFAULT_DOCKER_API_VERSION)
    try:
        client.ping()
    except docker.errors.APIError:
        return True  # an engine of another version, but one that answers
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()
    return True


class _Container(EmbeddedService):
    """One container, with its data in a volume of its own that outlives it, published on one loopback port.

    Name and volume follow from the data directory: what a killed predecessor left running is removed at the start.
    """

    def __init__(self, data_dir: Path, name: str) -> None:
        self._home = data_dir.resolve() / f"docker-{name}"
        self.name = f"mainstem-{hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]}-{name}"
        self._lock = DataDirLock(self._home)
        self._port = 0
        self._container: DockerContainer | None = None

    @abstractmethod
    def _prepared(self, port: int) -> "DockerContainer":
        """Return the container as it is to be started, without name and port."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether the server answers."""

    @property
    @abstractmethod
    def _inner_port(self) -> int:
        """The port that the server listens on inside of the container."""

    def start(self) -> None:
        if self.running:
            return
        self._lock.acquire()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._container is not None:
            self._container.stop(delete_volume=False)
            self._container = None
        self._lock.release()

    @property
    def running(self) -> bool:
        wrapped = self._wrapped()
        if wrapped is None:
            return False
        wrapped.reload()
        return bool(wrapped.status == "running")

    @property
    def pid(self) -> int | None:
        """None: its process belongs to the engine."""
        return None

    @property
    def port(self) -> int:
        if not self._port:
            raise UnavailableError(f"the container {self.name} was not started yet")
        return self._port

    def _start(self) -> None:
        self._remove_leftover()
        self._port = self._port or remembered_ports(self._home / "ports.json", 1)[0]
        container = self._prepared(self._port)
        if not is_free(self._port):
            raise UnavailableError(f"{self.name} cannot come back on port {self._port}: another program listens there")
        # Docker's own notation for one address: without it the port is open to the network.
        container.ports[f"{self._inner_port}/tcp"] = ("127.0.0.1", self._port)  # type: ignore[assignment]
        self._container = container.with_name(self.name)
        try:
            self._container.start()
        except Exception as error:
            raise UnavailableError(f"the container {self.name} could not be started: {error}") from error
        self._wait()

    def _remove_leftover(self) -> None:
        import docker  # noqa: PLC0415 - an extra

        client = docker.from_env()
        # The engine knows names with a slash in front.
        for left in client.containers.list(all=True, filters={"name": f"^/?{self.name}$"}):
            left.remove(force=True)
        client.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if not self.running:
                raise UnavailableError(f"the container {self.name} ended while it started:\n{self._logs()}")
            if time.monotonic() > deadline:
                raise UnavailableError(f"{self.name} did not answer within {_START_SECONDS} s:\n{self._logs()}")
            time.sleep(0.2)

    def _remembered(self, name: str, make: Callable[[], str]) -> str:
        """Return what the file of that name holds; what *make* says when there is none yet. For its owner alone."""
        file = self._home / name
        if not file.exists():
            # Beside it: a file of that name is never half written.
            written = file.with_name(f"{name}.new")
            with os.fdopen(os.open(written, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as fresh:
                fresh.write(make())
            written.replace(file)
        return file.read_text()

    def _wrapped(self) -> Any:
        return None if self._container is None else self._container.get_wrapped_container()

    def _logs(self) -> str:
        return self._wrapped().logs(tail=_LOG_LINES).decode(errors="replace") if self._container else ""


class DockerKafka(_Container):
    """A broker in a container; `address` is its bootstrap server."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, "kafka")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def _inner_port(self) -> int:
        return 9092

    def _prepared(self, port: int) -> "DockerContainer":
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - an extra

        return (
            DockerContainer(KAFKA_IMAGE)
            .with_envs(CLUSTER_ID=self._remembered("cluster-id", new_cluster_id), **container_environment(port=port))
            .with_volume_mapping(self.name, "/var/lib/kafka/data", "rw")
        )

    def _is_ready(self) -> bool:
        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0, "error_cb": lambda _: None})
        return _succeeds(lambda: client.list_topics(timeout=1), KafkaException)


class DockerPostgres(_Container):
    """A server in a container; `address` is the DSN of its database `mainstem`."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, "postgres")

    @property
    def address(self) -> str:
        port = self.port
        return f"postgresql://mainstem:{self._password()}@127.0.0.1:{port}/mainstem"

    @property
    def _inner_port(self) -> int:
        return 5432

    def _prepared(self, port: int) -> "DockerContainer":
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - an extra

        del port
        # Since 18 the image keeps its data below this directory, in one for each major version.
        return (
            DockerContainer(POSTGRES_IMAGE)
            .with_envs(POSTGRES_USER="mainstem", POSTGRES_DB="mainstem", POSTGRES_PASSWORD=self._password())
            .with_volume_mapping(self.name, "/var/lib/postgresql", "rw")
        )

    def _is_ready(self) -> bool:
        # Over TCP: while the image makes the database, its server answers on the socket alone.
        return _succeeds(lambda: psycopg.connect(self.address, connect_timeout=2).close(), psycopg.OperationalError)

    def _password(self) -> str:
        """Return the password that the volume was made with. Whoever may read the data directory knows it."""
        return self._remembered("password", lambda: secrets.token_urlsafe(24))


def _succeeds(act: Callable[[], object], fault: type[Exception]) -> bool:
    try:
        act()
    except fault:
        return False
    return True
