"""The embedded services against kill -9 of them and of their owner, a second owner, a broken download."""

import hashlib
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import orjson
import psutil  # type: ignore[import-untyped]
import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from mainstem.embedded import DataDirLock, EmbeddedKafka, EmbeddedPostgres, Progress, default_cache_dir
from mainstem.embedded.jars import Jar, ensure_jars
from mainstem.embedded.launch import __file__ as launcher
from mainstem.embedded.process import STOP_TIMEOUT_S
from schemas.errors import UnavailableError
from tests.patience import eventually

OWNER = """
import os, pathlib, sys, time
from mainstem.embedded import EmbeddedKafka, EmbeddedPostgres, default_cache_dir
home = pathlib.Path(sys.argv[2])
service = EmbeddedPostgres(home) if sys.argv[1] == "postgres" else EmbeddedKafka(home, cache_dir=default_cache_dir())
service.start()
print(service.pid, service.address, flush=True)
time.sleep(300)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: it is open to nobody but us, too long for a socket, and both are tests of their own.
    path = Path(tempfile.mkdtemp(prefix="mse-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """One broker for the module: a test may kill it and must leave it running."""
    path = Path(tempfile.mkdtemp(prefix="msk-"))
    service = EmbeddedKafka(path, cache_dir=default_cache_dir())
    service.start()
    yield service
    service.stop()
    shutil.rmtree(path)


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def wait_gone(pid: int, seconds: float = 10) -> None:
    """Wait until the process has ended; a zombie that nobody reaps has."""
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, seconds)


def wait_down(service: EmbeddedKafka | EmbeddedPostgres) -> None:
    eventually(lambda: not service.running, 10, pause=0.02)


def write(bootstrap: str, topic: str, values: list[bytes]) -> None:
    settings = {"max.message.bytes": str(8 * 1024 * 1024)}
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1, config=settings)])[topic].result(10)
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "message.max.bytes": 8_000_000})
    faults: list[object] = []
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: faults.append(error) if error else None)
    assert producer.flush(20) == 0
    assert faults == []


def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = consumer.consume(count, timeout=15)
    consumer.close()
    return [message.value() for message in messages]


def spawn_owner(kind: str, home: Path) -> tuple[subprocess.Popen[str], int, str]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, kind, str(home)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, address = owner.stdout.readline().split()
    return owner, int(pid), address


def end_owner(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()
    assert owner.stdout is not None
    owner.stdout.close()


def test_kafka_keeps_acknowledged_records_and_its_port_over_kill_9(broker: EmbeddedKafka) -> None:
    values = [b"%d" % n for n in range(1_000)] + [b"x" * 7_000_000]
    write(broker.address, "kept", values)
    address = broker.address
    kill(broker.pid)
    wait_down(broker)

    broker.start()

    assert address == broker.address
    # A batch that is sent again may come behind the next one.
    assert sorted(values) == sorted(read(broker.address, "kept", len(values)))


def test_kafka_refuses_a_second_owner_of_its_data(broker: EmbeddedKafka) -> None:
    data_dir = broker._home.parent
    with pytest.raises(UnavailableError, match=f"in use by process {os.getpid()}"):
        EmbeddedKafka(data_dir, cache_dir=default_cache_dir()).start()
    assert broker.running


def test_kafka_left_by_a_killed_owner_is_ended_and_its_data_taken_over_on_new_ports(home: Path) -> None:
    owner, pid, address = spawn_owner("kafka", home)
    write(address, "kept", [b"1", b"2"])
    # Stopped, it cannot obey the death signal: as if there were none.
    os.kill(pid, signal.SIGSTOP)
    end_owner(owner)
    assert psutil.pid_exists(pid)
    threading.Timer(1, os.kill, (pid, signal.SIGCONT)).start()
    ports = orjson.loads((home / "kafka" / "ports.json").read_bytes())
    successor = EmbeddedKafka(home, cache_dir=default_cache_dir())
    try:
        with socket.socket() as stranger:
            # The controller's port is lost; its place in the quorum must not be.
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            (home / "kafka" / "ports.json").write_bytes(orjson.dumps([ports[0], _occupy(stranger)]))
            successor.start()
            wait_gone(pid)
            assert read(successor.address, "kept", 2) == [b"1", b"2"]
            assert successor.address != address
    finally:
        successor.stop()
    assert not successor.running


def _occupy(listener: socket.socket) -> int:
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return int(listener.getsockname()[1])


def test_postgres_keeps_committed_rows_and_its_address_over_kill_9(home: Path) -> None:
    service = EmbeddedPostgres(home)
    service.start()
    address = service.address
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    # A backend at work does not notice that its server is gone and holds on to the data.
    with psycopg.connect(address) as busy:
        worker = threading.Thread(target=_swallow, args=(busy, "SELECT count(*) FROM generate_series(1, 200000000)"))
        worker.start()
        time.sleep(0.2)
        kill(service.pid)
        wait_down(service)
        service.start()
        worker.join()

    with psycopg.connect(service.address) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1_000,)
    assert address == service.address
    service.stop()
    service.stop()


def _swallow(connection: psycopg.Connection, statement: str) -> None:
    try:
        connection.execute(statement)
    except psycopg.OperationalError:
        return


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a death signal")
def test_a_server_ends_with_its_killed_owner_but_not_with_the_thread_that_started_it(home: Path) -> None:
    owner, pid, _ = spawn_owner("postgres", home)
    end_owner(owner)
    wait_gone(pid)

    service = EmbeddedPostgres(home)
    starter = threading.Thread(target=service.start)
    starter.start()
    starter.join()
    time.sleep(0.5)
    assert service.running
    service.stop()


def test_postgres_left_by_a_killed_owner_is_ended_before_a_new_one_starts(home: Path) -> None:
    owner, pid, address = spawn_owner("postgres", home)
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    os.kill(pid, signal.SIGSTOP)
    end_owner(owner)
    threading.Timer(0.5, os.kill, (pid, signal.SIGCONT)).start()
    successor = EmbeddedPostgres(home)

    successor.start()

    wait_gone(pid)
    with psycopg.connect(successor.address) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    successor.stop()


def test_another_program_in_the_data_directory_is_left_alone(home: Path) -> None:
    service = EmbeddedPostgres(home)
    service.start()
    stranger = subprocess.Popen(["sleep", "60"], cwd=home / "postgres" / "data")
    service.stop()
    service.start()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    service.stop()


def test_postgres_works_below_a_closed_directory_with_a_long_path(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 25) / "with space"
    home.mkdir(parents=True)
    home.chmod(0o700)
    service = EmbeddedPostgres(home)
    service.start()
    with psycopg.connect(service.address) as connection:
        assert connection.execute("SELECT current_database(), current_user").fetchone() == ("mainstem", "postgres")
    service.stop()
    shutil.rmtree(service._socket_dir)
    assert home.stat().st_mode & 0o777 == 0o700


def test_postgres_lets_only_its_owner_in(home: Path) -> None:
    service = EmbeddedPostgres(home)
    service.start()
    assert service._socket_dir.stat().st_mode & 0o077 == 0
    service.stop()


def test_a_start_that_fails_says_why_and_gives_the_data_directory_back(home: Path) -> None:
    service = EmbeddedPostgres(home)
    service.start()
    service.stop()
    (home / "postgres" / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(UnavailableError, match="no_such_setting"):
        service.start()
    service.stop()
    with DataDirLock(home / "postgres"):
        pass


def test_ctrl_c_in_a_terminal_does_not_reach_the_server(home: Path) -> None:
    service = EmbeddedPostgres(home)
    service.start()
    assert service.pid is not None
    assert os.getsid(service.pid) == service.pid
    service.stop()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, Path, Jar]]:
    """Yield a Maven mirror's address, the file that it serves, and the jar that file should be."""
    content = b"classes" * 10_000
    served = tmp_path / "mirror" / "org" / "sample" / "lib" / "1" / "lib-1.jar"
    served.parent.mkdir(parents=True)
    served.write_bytes(content)
    handler = partial(_Quiet, directory=str(tmp_path / "mirror"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sha256 = hashlib.sha256(content).hexdigest()
    jar = Jar(group="org.sample", artifact="lib", version="1", sha256=sha256, size=len(content))
    yield f"http://127.0.0.1:{server.server_address[1]}", served, jar
    server.shutdown()
    server.server_close()


def test_jars_are_fetched_once_with_progress_and_then_need_no_network(
    mirror: tuple[str, Path, Jar], tmp_path: Path
) -> None:
    address, _, jar = mirror
    seen: list[Progress] = []
    # What an interrupted download leaves behind.
    torn = tmp_path / "cache" / "incoming" / jar.filename / "org" / "sample" / "lib" / "1" / jar.filename
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"cla")

    first = ensure_jars([jar], tmp_path / "cache", progress=seen.append, repository=address)
    (tmp_path / "cache" / "lock").unlink()
    second = ensure_jars([jar], tmp_path / "cache", repository="http://127.0.0.1:9")

    assert first == second
    # A cache that is complete may be read-only.
    assert not (tmp_path / "cache" / "lock").exists()
    assert first[0].stat().st_size == jar.size
    assert seen[-1].done == seen[-1].total == jar.size


def test_a_damaged_jar_is_refused_with_a_sentence_that_helps(mirror: tuple[str, Path, Jar], tmp_path: Path) -> None:
    address, served, jar = mirror
    served.write_bytes(b"something else")
    with pytest.raises(UnavailableError, match=r"could not download Kafka .*configure kafka\.bootstrap_servers"):
        ensure_jars([jar], tmp_path / "cache", repository=address)
    assert not (tmp_path / "cache" / jar.filename).exists()


def test_the_launcher_ends_when_its_parent_is_gone_before_it_begins() -> None:
    arguments = [sys.executable, "-I", "-S", launcher, "15", "1", "-1", "-1", "0", "/bin/echo", "started"]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=STOP_TIMEOUT_S)
    assert (result.stdout, result.returncode) == ("", 1)
