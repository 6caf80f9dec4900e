"""What goes wrong is one sentence on standard error that says which and what to do, and an exit code: 1, or 78 where
it is the configuration or the command line that somebody has to change."""

import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import typer
from confluent_kafka.admin import AdminClient, NewTopic
from psycopg import conninfo

from mainstem.cli import app
from schemas.errors import ConfigError
from schemas.topics import Topics
from tests.acceptance.running import ENVIRONMENT, Up, run, write_config
from tests.patience import ended, eventually

CONFIGURATION = ConfigError.exit_code
GONE = "127.0.0.1:1"
REFUSED = "refused"


@pytest.fixture
def configured(tmp_path):
    """Return a function that runs a command with a configuration file of the given content."""

    def call(arguments: str, config, **options):
        file = write_config(tmp_path / "mainstem.yaml", config)
        return run(*arguments.split(), "--config", str(file), "--data-dir", str(tmp_path / "d"), **options)

    return call


def _sentence(ended, code=1) -> str:
    """Return the one sentence that a command failed with."""
    lines = ended.stderr.splitlines()
    assert (ended.returncode, len(lines)) == (code, 1), ended.stderr
    assert lines[0].startswith("mainstem: ")
    return lines[0].removeprefix("mainstem: ")


# -- services that are not there, or do not let us in


WITHOUT_A_BROKER = (
    "topics check",
    "processor run",
    "connectors run",
    "up",
    "publish --connector any --delete component:default/any",
)


@pytest.fixture(scope="module")
def without_a_broker(installation, tmp_path_factory):
    """Return how each command ended, and one that Kafka does not let in; all at once: each waits ten seconds."""
    home = tmp_path_factory.mktemp("gone")
    postgres = {"dsn": installation.facts["postgres"]}
    sasl = {"mechanism": "PLAIN", "username": "me", "password": "kan4rie"}
    refused = {"bootstrap_servers": installation.facts["kafka"], "security_protocol": "SASL_PLAINTEXT", "sasl": sasl}
    gone = write_config(home / "gone.yaml", {"kafka": {"bootstrap_servers": GONE}, "postgres": postgres})
    other = write_config(home / "refused.yaml", {"kafka": refused, "postgres": postgres})
    calls = [*((command, command, gone) for command in WITHOUT_A_BROKER), (REFUSED, "topics check", other)]

    def call(command, file):
        return run(*command.split(), "--config", str(file), "--data-dir", str(home / command.partition(" ")[0]))

    with ThreadPoolExecutor() as pool:
        running = {name: pool.submit(call, command, file) for name, command, file in calls}
        return {name: future.result() for name, future in running.items()}


@pytest.mark.parametrize("command", WITHOUT_A_BROKER)
def test_no_broker(without_a_broker, command):
    said = _sentence(without_a_broker[command])
    assert said.startswith(f"no Kafka answers at {GONE} (")
    assert said.endswith("start it, or correct kafka.bootstrap_servers")


def test_credentials_that_kafka_does_not_take(without_a_broker, installation):
    said = _sentence(without_a_broker[REFUSED])
    assert installation.facts["kafka"] in said
    assert "kan4rie" not in said


@pytest.mark.parametrize("command", ["db check", "db migrate", "entities list"])
def test_no_database(configured, command):
    said = _sentence(configured(command, {"postgres": {"dsn": f"postgresql://me:kan4rie@{GONE}/catalog"}}))
    assert said.startswith(f"database catalog on {GONE} ")
    assert "kan4rie" not in said


def test_a_sink_without_a_database(configured, installation):
    config = _external(installation, postgres={"dsn": f"postgresql://me:kan4rie@{GONE}/catalog"})
    config["topics"]["prefix"] = "mainstem"
    said = _sentence(configured("sinks run postgres", config))
    assert said.startswith(f"database catalog on {GONE} cannot be reached")


def test_a_database_that_does_not_exist(configured, installation):
    dsn = conninfo.make_conninfo(installation.facts["postgres"], dbname="nowhere")
    said = _sentence(configured("db migrate", {"postgres": {"dsn": dsn}}))
    assert said.startswith("database nowhere on ")
    assert said.endswith('refuses us: database "nowhere" does not exist')


def test_a_role_that_does_not_exist(configured, installation):
    dsn = conninfo.make_conninfo(installation.facts["postgres"], user="nobody-here")
    said = _sentence(configured("db check", {"postgres": {"dsn": dsn}}))
    assert 'refuses us: role "nobody-here" does not exist' in said


@pytest.mark.parametrize("command", ["db check", "entities get component:default/any"])
def test_a_wrong_password(configured, command):
    with _refusing_postgres() as port:
        dsn = f"postgresql://me:kan4rie@127.0.0.1:{port}/catalog"
        said = _sentence(configured(command, {"postgres": {"dsn": dsn}}))
    assert said.startswith(f"database catalog on 127.0.0.1:{port} ")
    assert "password authentication failed" in said
    assert "kan4rie" not in said


@pytest.mark.parametrize(
    "command", ["topics check", "db check", "publish --connector any --delete component:default/a"]
)
def test_nothing_configured_and_nothing_running(configured, command):
    said = _sentence(configured(command, {}))
    assert "start `mainstem up`, or set " in said


# -- topics


@pytest.mark.parametrize("command", ["topics check", "processor run", "sinks run incidents"])
def test_a_topic_with_other_partitions(configured, installation, command):
    config = _external(installation)
    name = f"{config['topics']['prefix']}.entities"
    topics = Topics(prefix=config["topics"]["prefix"], partitions=4, replication_factor=1)
    for each in topics.definitions(()):
        _create(installation, each, 3 if each.name == name else 4)
    said = _sentence(configured(command, config))
    assert said.startswith(f"topic {name} has 3 partitions, 4 are needed; set topics.partitions ")


def test_topics_that_do_not_exist(configured, installation):
    config = _external(installation)
    said = _sentence(configured("processor run", config))
    assert f"topic {config['topics']['prefix']}." in said
    assert said.count("run `mainstem topics create`") >= 1


def test_publish_for_a_connector_that_has_no_topic(installation):
    said = _sentence(installation.run("publish", "--connector", "unheard-of", "--delete", "component:default/any"))
    assert (
        said == "topic mainstem.changes.unheard-of does not exist; run `mainstem topics create --connector unheard-of`"
    )


def test_publish_for_a_connector_that_cannot_be(installation):
    said = _sentence(
        installation.run("publish", "--connector", "No_Id", "--delete", "component:default/any"), CONFIGURATION
    )
    assert said == "--connector No_Id: a connector id is 1 to 63 of a-z, 0-9 and '-'"


def test_a_connector_that_is_not_configured(installation):
    said = _sentence(installation.run("connectors", "run", "unheard-of"), CONFIGURATION)
    assert said.startswith("connector unheard-of is not configured; configured are: avro, ")


# -- configuration


@pytest.mark.parametrize("command", ["config check", "up"])
def test_an_unknown_key(configured, command):
    said = _sentence(configured(command, {"kafak": {}}), CONFIGURATION)
    assert said == "mainstem.yaml: kafak: unknown key; did you mean kafka?"


@pytest.mark.parametrize("command", ["config check", "topics check"])
def test_a_reserved_id(configured, command):
    said = _sentence(
        configured(command, {"connectors": [{"connector_id": "override", "type": "external"}]}), CONFIGURATION
    )
    assert said.startswith("mainstem.yaml: connectors[0].connector_id: this id is reserved (override and manual ")
    assert said.endswith("choose another")


@pytest.mark.parametrize("command", ["config check", "up", "connectors run"])
def test_a_type_that_is_not_installed(configured, command):
    config = {"connectors": [{"connector_id": "shop", "type": "corner-shop"}]}
    said = _sentence(configured(command, config), CONFIGURATION)
    assert "corner-shop" in said
    assert "external, git" in said


def test_a_configuration_file_that_is_not_there():
    said = _sentence(run("config", "check", "--config", "/nowhere/mainstem.yaml"), CONFIGURATION)
    assert said == "mainstem.yaml: cannot be read (no such file or directory); check the path and its permissions"


def test_an_unknown_variable(configured):
    ended = configured("config check", {}, environment={"MAINSTEM_KAFKA__SERVERS": "x"})
    assert "MAINSTEM_KAFKA__SERVERS" in _sentence(ended, CONFIGURATION)


# -- what is taken


def test_a_second_up_on_the_same_data_directory(installation):
    said = _sentence(installation.run("up"))
    pid = installation.facts["pid"]
    assert said == (
        f"the data directory {installation.data_dir} is in use by process {pid}: stop it, or use another --data-dir"
    )


def test_a_port_that_another_program_has(configured, installation):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = configured("api run", _external(installation), environment={"MAINSTEM_API__PORT": str(port)})
    said = _sentence(ended)
    assert said.startswith(f"the API cannot listen on 127.0.0.1:{port}: ")
    assert "set api.port" in said


# -- ends


def test_ctrl_c_while_up_starts_ends_it_and_all_that_it_started():
    up = Up({})
    try:
        up.launch()
        eventually(lambda: up.child("/bin/postgres"), 60, up.tail)
        up.stop(signal.SIGINT)
        assert not up.ready_file.exists()
        assert "Traceback" not in up.tail()
    finally:
        up.close()


@pytest.mark.parametrize("lines", [0, 1])
def test_publish_into_a_pipe_that_nobody_reads_leaves_no_trace(installation, tmp_path, lines):
    documents = (
        {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": f"piped-{number}"}}
        for number in range(3_000)
    )
    file = tmp_path / "many.yaml"
    file.write_text("\n---\n".join(str(document) for document in documents))
    arguments = ("publish", "--partial", "--connector", "pipe", str(file), *installation._options())
    with subprocess.Popen(
        [sys.executable, "-m", "mainstem", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for _ in range(lines):
            assert process.stdout.readline().startswith(f"{file}:1 ")
        process.stdout.close()
        said = process.stderr.read()
        assert ended(process, 60) == 1
    assert said == ""


# -- help


def _commands(command, path=()):
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name, each in inner.items():
        yield from _commands(each, (*path, name))


COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_shows_an_example(name):
    command = COMMANDS[name]
    context = command.context_class(command, info_name=f"mainstem {name}")
    text = command.get_help(context)
    assert "Example" in text
    assert f"mainstem {name}" in " ".join(text.partition("Example")[2].split())


@pytest.mark.parametrize("arguments", ["--help", "publish --help", "topics -h"])
def test_help_is_plain_text_in_a_pipe(arguments):
    ended = run(*arguments.split())
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: ")


@pytest.mark.parametrize("arguments", ["publsh", "publish", "topics check --no-such-option", "entities get"])
def test_a_command_that_cannot_be_understood_is_told_without_a_trace(arguments):
    ended = run(*arguments.split(), stdin=subprocess.DEVNULL)
    assert ended.returncode == 2
    assert "Usage: " in ended.stderr
    assert "Traceback" not in ended.stderr


# -- what these tests stand on


def _external(installation, **sections):
    """Return a configuration with a prefix of its own on the services of *installation*."""
    return {
        "kafka": {"bootstrap_servers": installation.facts["kafka"]},
        "postgres": {"dsn": installation.facts["postgres"]},
        "topics": {"prefix": f"e{uuid.uuid4().hex[:8]}", "partitions": 4, "replication_factor": 1},
        **sections,
    }


def _create(installation, definition, partitions):
    admin = AdminClient({"bootstrap.servers": installation.facts["kafka"]})
    topic = NewTopic(definition.name, partitions, 1, config=dict(definition.config))
    (answer,) = admin.create_topics([topic]).values()
    answer.result(timeout=30)


class _Refusal(socketserver.BaseRequestHandler):
    """A Postgres that takes nobody's password."""

    def handle(self) -> None:
        while True:
            (size,) = struct.unpack(">i", self.request.recv(4))
            code = struct.unpack(">i", self.request.recv(size - 4)[:4])[0]
            if code >> 16 == 3:
                break
            self.request.sendall(b"N")  # no TLS, no GSS
        self.request.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")
        self.request.recv(1024)
        fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "me"\0\0'
        self.request.sendall(b"E" + struct.pack(">i", len(fields) + 4) + fields)


@contextmanager
def _refusing_postgres():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refusal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()
