"""Kafka and Postgres as containers: with an engine they are run, without one it is said what is missing."""

import os
import sys

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from mainstem.embedded.containers import DockerKafka, DockerPostgres, require_engine
from mainstem.embedded.kafka_config import container_environment
from schemas.errors import UnavailableError
from tests.acceptance.running import run
from tests.integration.kill.kafka_io import produce_and_wait

NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


def has_engine():
    try:
        require_engine()
    except UnavailableError:
        return False
    return True


@pytest.fixture
def engine():
    if not has_engine():
        pytest.skip("Docker engines are not on this machine")


def test_a_client_without_an_engine_is_not_enough(monkeypatch):
    monkeypatch.setitem(os.environ, "DOCKER_HOST", NO_ENGINE["DOCKER_HOST"])

    with pytest.raises(UnavailableError, match=r"no Docker engine answers at unix:///nowhere/docker\.sock: start it"):
        require_engine()


def test_without_testcontainers_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "testcontainers", None)

    with pytest.raises(UnavailableError, match=r"install mainstem\[docker\]"):
        require_engine()


def test_up_says_in_a_sentence_that_there_is_no_engine(tmp_path):
    ended = run("up", cwd=tmp_path, environment={"MAINSTEM_EMBEDDED": "docker", **NO_ENGINE})

    assert ended.returncode == 1
    assert "MAINSTEM_EMBEDDED=docker: no Docker engine answers" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_up_needs_no_engine_where_both_are_configured(tmp_path):
    (tmp_path / "mainstem.yaml").write_text(
        "kafka: {bootstrap_servers: '127.0.0.1:1'}\npostgres: {dsn: 'host=/nowhere'}\n"
    )
    ended = run("up", cwd=tmp_path, environment={"MAINSTEM_EMBEDDED": "docker", **NO_ENGINE})

    assert ended.returncode == 1
    assert "no Kafka answers at 127.0.0.1:1" in ended.stderr


def test_a_container_is_named_after_its_data_directory_and_has_no_address_before_it_starts(tmp_path):
    one, same, other = DockerKafka(tmp_path / "a"), DockerKafka(tmp_path / "a"), DockerPostgres(tmp_path / "a")

    assert (one.name == same.name, one.name == other.name, one.running, one.pid) == (True, False, False, None)
    with pytest.raises(UnavailableError, match="was not started yet"):
        _ = other.address


def test_a_broker_in_a_container_is_told_what_the_embedded_one_is():
    told = container_environment(port=21_000)

    assert told["KAFKA_ADVERTISED_LISTENERS"].endswith("PLAINTEXT://127.0.0.1:21000")
    assert told["KAFKA_MESSAGE_MAX_BYTES"] == str(8 * 1024 * 1024)
    assert told["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


@pytest.mark.usefixtures("engine")
def test_kafka_in_a_container_keeps_records_and_port_over_its_death(tmp_path):
    service = DockerKafka(tmp_path)
    service.start()
    try:
        address = service.address
        (made,) = AdminClient({"bootstrap.servers": address}).create_topics([NewTopic("t", 1, 1)]).values()
        made.result(30)
        produce_and_wait(Producer({"bootstrap.servers": address}), "t", b"kept", b"k")
        service._container.get_wrapped_container().kill()
        assert not service.running
        service.start()
        consumer = Consumer({"bootstrap.servers": address, "group.id": "g"})
        consumer.assign([TopicPartition("t", 0, 0)])
        found = consumer.poll(30)
        consumer.close()
    finally:
        service.stop()

    assert (service.address, found.value()) == (address, b"kept")


@pytest.mark.usefixtures("engine")
def test_postgres_in_a_container_keeps_rows_and_port_over_its_death(tmp_path):
    service = DockerPostgres(tmp_path)
    service.start()
    try:
        address = service.address
        with psycopg.connect(address) as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS kept")
        service._container.get_wrapped_container().kill()
        assert not service.running
        service.start()
        with psycopg.connect(address) as connection:
            found = connection.execute("SELECT kept FROM t").fetchone()
    finally:
        service.stop()

    assert (service.address, found) == (address, (1,))
