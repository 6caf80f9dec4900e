"""Kafka with TLS, passwords and ACLs: every role has a user of its own, which may do what `topics acls` prints."""

import asyncio
import json
import shlex
import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx2
import psycopg
import pytest
from aiokafka.conn import create_conn
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from psycopg import conninfo, sql

from mainstem.cluster import Cluster, client_settings
from mainstem.config import Config
from mainstem.security import access
from schemas.errors import UnavailableError
from sinks.kafka import producer as sink_producer
from tests.acceptance.running import run, write_config
from tests.acceptance.secured_installation import PREFIX, RUNNING, SCRAM, USERS, Secured
from tests.acceptance.secured_kafka import EXPIRED, KEY_PASSWORD, PASSWORD, SecuredKafka, server_context, stranger
from tests.integration.kill.kafka_io import produce_and_wait, read_all
from tests.patience import eventually

CHANGE = {"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "ledger"}}}


@pytest.fixture(scope="module")
def kafka() -> Iterator[SecuredKafka]:
    users = [f"{PREFIX}{role}" for role in USERS if role not in SCRAM]
    service = SecuredKafka(*users)
    service.start()
    for role, mechanism in SCRAM.items():
        service.add_scram(f"{PREFIX}{role}", mechanism)
    yield service
    service.close()


@pytest.fixture(scope="module")
def secured(kafka, postgres) -> Iterator[Secured]:
    name = f"secured_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    installation = Secured(kafka, conninfo.make_conninfo(postgres, dbname=name))
    grant(installation)
    assert installation.run("admin", "topics", "create").returncode == 0, installation.said
    assert installation.run("admin", "db", "migrate").returncode == 0
    yield installation
    installation.close()
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def grant(installation: Secured) -> None:
    """Allow exactly what is printed for programs."""
    rows = [json.loads(line) for line in installation.run("admin", "topics", "acls", "--json").stdout.splitlines()]
    bindings = [
        AclBinding(
            ResourceType[row["resource_type"]],
            row["resource_name"],
            ResourcePatternType[row["pattern_type"]],
            row["principal"],
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for row in rows
        for operation in row["operations"]
    ]
    for answer in installation.kafka.admin.create_acls(bindings).values():
        answer.result(20)


@pytest.fixture(scope="module")
def working(secured) -> Secured:
    """The whole way, every role as its own user."""
    for role, command in RUNNING.items():
        secured.start(role, command)
    return secured


def client(section: dict[str, Any]) -> dict[str, Any]:
    kafka = Config.model_validate({"kafka": section}).kafka
    return client_settings(kafka, section["bootstrap_servers"])


# -- the whole way


def test_a_change_goes_the_whole_way_with_the_rights_that_are_printed(working):
    change = {**CHANGE, "service": {"tier": "tier1"}}
    published = working.run("connector-team-pay", "publish", "--connector", "team-pay", "--partial", "-",
                            input=json.dumps(change))  # fmt: skip
    assert published.returncode == 0, published.stderr
    url = f"{working.monitor('api')}/v1/entities/component:default/ledger"

    def whole() -> Any:
        answer = httpx2.get(url, timeout=10)
        found = answer.json() if answer.status_code == 200 else {}
        return found.get("service") and found["entity"]["spec"] and found

    found = eventually(whole, 90, lambda: "\n".join(map(working.log, RUNNING)))
    assert (found["entity"]["spec"]["owner"], found["service"]["tier"]) == ("team-books", "tier1")
    events = eventually(lambda: list(read_all(working.kafka.open_address, "mainstem.service.updated", 2)), 60,
                        partial(working.log, "sink-incidents"))  # fmt: skip
    assert {event.key() for event in events} == {b"component:default/ledger"}


def test_what_people_write_takes_the_rights_of_the_api(working):
    url = f"{working.monitor('api')}/v1/entities/component:default/till?wait=1"
    written = httpx2.put(url, json={**CHANGE["entity"], "metadata": {"name": "till"}}, timeout=20)
    assert written.status_code == 200, written.text


def test_poison_and_misplaced_changes_go_their_ways_too(working):
    settings = client(working.kafka.sasl(f"{PREFIX}connector-team-pay"))
    poison = produce_and_wait(sink_producer(settings), "mainstem.changes.team-pay", b"{", b"any")
    change = json.dumps({**CHANGE, "service": {"tier": "tier0"}}).encode()
    produce_and_wait(sink_producer(settings), "mainstem.changes.team-pay", change, b"another key")

    letters = eventually(lambda: list(read_all(working.kafka.open_address, "mainstem.dead-letters", 2)), 60,
                         partial(working.log, "processor"))  # fmt: skip
    headers = dict(letters[0].headers())
    assert poison.offset == int(headers["mainstem-origin-offset"])
    url = f"{working.monitor('api')}/v1/entities/component:default/ledger"
    eventually(lambda: httpx2.get(url, timeout=10).json().get("service") == {"tier": "tier0"}, 60)


def test_an_operator_looks_at_dead_letters_and_replays_them(working):
    """Follows the test above: its poison is what is replayed, and set aside again."""
    (row,) = map(json.loads, working.run("operator", "dead-letters", "list", "--json").stdout.splitlines())
    ended = working.run("operator", "dead-letters", "replay", row["id"])
    assert (ended.returncode, ended.stdout.split()[:3]) == (0, [row["id"], "any", "replayed"])
    assert working.run("operator", "entities", "explain", "component:default/ledger").returncode == 0
    refused = working.run("connector-git", "dead-letters", "list")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "does not allow it" in refused.stderr


# -- what nobody may


@pytest.mark.parametrize("topic", ["mainstem.changes.team-pay", "mainstem.entities", "mainstem.dead-letters"])
def test_a_connector_writes_nothing_but_its_own_changes(secured, topic):
    settings = client(secured.kafka.sasl(f"{PREFIX}connector-git"))
    with pytest.raises((AssertionError, KafkaException, UnavailableError)) as refused:
        produce_and_wait(sink_producer(settings), topic, b"{}", b"any")
    assert "authorization" in str(refused.value).lower()


def test_a_topic_that_is_hidden_from_a_user_is_not_called_missing(secured):
    with pytest.raises(UnavailableError, match="does not allow it"):
        Cluster(client(secured.kafka.sasl(f"{PREFIX}connector-git"))).existing(["mainstem.entities"])


def test_publishing_for_another_connector_is_refused_in_a_sentence(secured):
    ended = secured.run("connector-git", "publish", "--connector", "team-pay", "--delete", "component:default/x")
    assert ended.returncode == 1
    assert "does not allow it" in ended.stderr
    assert "`mainstem topics acls`" in ended.stderr


@pytest.mark.parametrize("role", ["processor", "connector-git"])
def test_no_role_makes_topics(secured, role):
    ended = secured.run(role, "topics", "create", "--connector", "new")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "authorization failed" in ended.stderr.lower()


def test_the_lines_for_a_shell_say_the_same_as_the_json(secured):
    lines = secured.run("admin", "topics", "acls").stdout.splitlines()
    rows = secured.run("admin", "topics", "acls", "--json").stdout.splitlines()
    assert [json.loads(row) for row in rows] == list(as_json(lines))


def as_json(lines: list[str]) -> Iterator[dict[str, Any]]:
    """Read the lines as `kafka-acls.sh` does."""
    role = ""
    for line in lines:
        if line.startswith("# "):
            role = line.removeprefix("# ")
            continue
        program, *words = shlex.split(line)
        assert program == "kafka-acls.sh"
        assert words.pop(4) == "--add"
        options = list(zip(words[::2], words[1::2], strict=True))
        found = dict(options)
        resource = next(kind for kind in ("topic", "group") if f"--{kind}" in found)
        yield {
            "role": role,
            "principal": found["--allow-principal"],
            "resource_type": resource.upper(),
            "resource_name": found[f"--{resource}"],
            "pattern_type": found.get("--resource-pattern-type", "literal").upper(),
            "operations": [
                {"DescribeConfigs": "DESCRIBE_CONFIGS"}.get(value, value.upper())
                for name, value in options
                if name == "--operation"
            ],
        }


# -- who is there


WAYS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "certificate")


@pytest.fixture(scope="module")
def ways(kafka):
    """The section `kafka` for every way in which a client says who it is."""
    for mechanism in WAYS[1:3]:
        kafka.add_scram("scram", mechanism)
    sections = {mechanism: kafka.sasl("scram", mechanism=mechanism) for mechanism in WAYS[1:3]}
    return {**sections, "PLAIN": kafka.sasl(f"{PREFIX}admin"), "certificate": kafka.mutual("someone")}


@pytest.mark.parametrize("way", WAYS)
def test_librdkafka_gets_in(ways, way):
    assert Cluster(client(ways[way])).cluster_id()


@pytest.mark.parametrize("way", WAYS)
def test_aiokafka_gets_in(ways, way):
    section = ways[way]
    credentials = access(Config.model_validate({"kafka": section}).kafka).credentials()

    async def connect() -> bool:
        host, _, port = section["bootstrap_servers"].partition(":")
        connection = await create_conn(host, int(port), **credentials_to_aiokafka_auth(credentials))
        is_there = connection.connected()
        await connection.close()
        return is_there

    assert asyncio.run(connect())


@contextmanager
def handshakes(context: Any) -> Iterator[str]:
    """Yield the address of a server that does nothing but show its certificate."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    context.wrap_socket(connection, server_side=True)
                except OSError:
                    if server.fileno() < 0:
                        return

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


FAULTS = {
    "a wrong password": "refuses the credentials (SASL authentication error: Authentication failed",
    "a user that nobody knows": "refuses the credentials (SASL authentication error: Authentication failed",
    "an authority that is not trusted": "is not trusted (",
    "a certificate of the past": "is not trusted (certificate has expired)",
    "a certificate of another host": "is not trusted (IP address mismatch, certificate is not valid for '127.0.0.1')",
    "no certificate where one is asked for": "certificate required",
}


@pytest.fixture(scope="module")
def refused(kafka):
    """How `topics check` ended with each of the faults."""
    good, mutual = kafka.sasl(f"{PREFIX}admin"), kafka.mutual("nobody")
    elsewhere = server_context(kafka.authority, host="elsewhere.invalid")
    with handshakes(server_context(kafka.authority, **EXPIRED)) as past, handshakes(elsewhere) as other:
        sections = dict(
            zip(
                FAULTS,
                (
                    kafka.sasl(f"{PREFIX}admin", password="wrong-" + PASSWORD),
                    kafka.sasl("nobody", mechanism="SCRAM-SHA-512"),
                    kafka.sasl(f"{PREFIX}admin", ca_location=str(stranger(kafka.home / "stranger.pem"))),
                    {**good, "bootstrap_servers": past},
                    {**good, "bootstrap_servers": other},
                    {**mutual, "ssl": {"ca_location": str(kafka.ca)}},
                ),
                strict=True,
            )
        )
        with ThreadPoolExecutor() as pool:
            running = {fault: pool.submit(_checked, kafka, section) for fault, section in sections.items()}
            return {fault: future.result() for fault, future in running.items()}


def _checked(kafka, section):
    file = write_config(kafka.home / f"{uuid.uuid4().hex}.yaml", {"kafka": section})
    return run("topics", "check", "--config", str(file), "--data-dir", str(kafka.home / "none"))


@pytest.mark.parametrize("fault", FAULTS)
def test_who_is_not_let_in_is_told_why_in_a_sentence(refused, fault):
    ended = refused[fault]
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert FAULTS[fault] in ended.stderr
    assert PASSWORD not in ended.stderr


@pytest.mark.parametrize("role", ["processor", "sink-incidents"])
def test_a_role_with_a_wrong_password_ends_with_a_sentence(secured, role):
    options = ["--config", str(secured.home / f"{role}.yaml"), "--data-dir", str(secured.home / "wrong")]
    ended = run(*RUNNING[role].split(), *options, environment={"KAFKA_PASSWORD": "canary-of-a-typo"})
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert "refuses the credentials" in ended.stderr
    assert "canary-of-a-typo" not in ended.stderr


# -- last: all has been said


def test_no_password_was_written_anywhere(working):
    files = [path for path in working.home.rglob("*") if path.is_file()]
    logs = [path.read_bytes() for path in files]
    assert any(b"processor.started" in text for text in logs)
    for canary in (PASSWORD, KEY_PASSWORD):
        assert [path for path, text in zip(files, logs, strict=True) if canary.encode() in text] == []
        assert [text for text in working.said if canary in text] == []
