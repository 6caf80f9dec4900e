"""Every program in the page on publishing is taken from it and run: one and the same change arrives from all."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from mainstem.cluster import Cluster
from mainstem.embedded import default_cache_dir
from mainstem.embedded.jars import VERSION
from schemas import writers
from schemas.changes import Origin, read_change
from schemas.codec import decode_change
from schemas.registry import Registry
from schemas.topics import Topics
from tests.integration.kill.kafka_io import partition_of
from tests.registry_server import RegistryServer
from tests.topics import bounds

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/publish-from-your-language.md").read_text()
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = FENCE.findall(PAGE)
PYTHON, GO, JAVA, SHELL = (
    [text for name, text in BLOCKS if name == language] for language in ("python", "go", "java", "bash")
)
(SHOWN,) = (text for name, text in BLOCKS if name == "json")
TOPIC, KEY, PARTITIONS = "mainstem.changes.team-pay", b"component:default/pay", 4
ORIGIN = Origin(connector="team-pay", tenant="default", is_complete=False, timestamp=0, id="t/0/0")


class Topic:
    """The topic of the page, and what came since this was made."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "page", "enable.auto.commit": False})
        places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        ends = [bounds(self.consumer, place)[1] for place in places]
        self.consumer.assign([TopicPartition(TOPIC, number, end) for number, end in enumerate(ends)])

    def arrived(self):
        message = self.consumer.poll(20)
        assert message is not None
        assert message.error() is None
        return message


@pytest.fixture
def topic(kafka):
    topics = Topics(partitions=PARTITIONS, replication_factor=1)
    Cluster({"bootstrap.servers": kafka}).create([topics.changes_definition("team-pay")])
    found = Topic(kafka)
    yield found
    found.consumer.close()


@pytest.fixture
def home(tmp_path):
    shutil.copy(ROOT / "schemas/avro/Change.avsc", tmp_path)
    return tmp_path


def run(command, home, **environment):
    ended = subprocess.run(
        command, cwd=home, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def assert_that_the_change_arrived(topic):
    message = topic.arrived()
    wanted = read_change(json.loads(SHOWN), ORIGIN)
    found = read_change(decode_change(message.value()), ORIGIN)

    assert (message.key(), message.partition()) == (KEY, partition_of(KEY, PARTITIONS))
    assert (found.ref, found.record.content) == (wanted.ref, wanted.record.content)


@pytest.mark.parametrize("program", [0, 1])
def test_the_python_of_the_page_publishes_the_change(topic, home, program):
    run([sys.executable, "-c", PYTHON[program]], home, KAFKA=topic.bootstrap)

    assert_that_the_change_arrived(topic)


def test_the_python_of_the_page_publishes_the_change_with_a_registry(topic, home):
    server = RegistryServer()
    registry = Registry(server.url)
    writers.use(registry)
    try:
        run([sys.executable, "-c", PYTHON[2]], home, KAFKA=topic.bootstrap, SCHEMA_REGISTRY=server.url)
        assert_that_the_change_arrived(topic)
    finally:
        writers.use(None)
        registry.close()
        server.stop()
    assert list(server.subjects) == [f"{TOPIC}-value"]


@pytest.mark.skipif(shutil.which("go") is None, reason="Go's tools are not on this machine")
def test_the_go_of_the_page_publishes_the_change(topic, home):
    (home / "main.go").write_text(GO[0])
    commands = next(text for text in SHELL if text.startswith("go mod"))
    run(["sh", "-ec", commands], home, KAFKA=topic.bootstrap, GOTOOLCHAIN="local")

    assert_that_the_change_arrived(topic)


@pytest.mark.skipif(shutil.which("javac") is None, reason="Java's tools are not on this machine")
def test_the_java_of_the_page_publishes_the_change(topic, home):
    (home / "Publish.java").write_text(JAVA[0])
    (home / "libs").mkdir()
    for jar in (default_cache_dir() / f"kafka-{VERSION}").glob("*.jar"):
        if jar.name.startswith(("kafka-clients", "slf4j", "lz4", "snappy", "zstd")):
            (home / "libs" / jar.name).symlink_to(jar)
    run(["sh", "-ec", next(text for text in SHELL if text.startswith("java"))], home, KAFKA=topic.bootstrap)

    assert_that_the_change_arrived(topic)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl's tools are not on this machine")
@pytest.mark.parametrize("version", ["v2", "v3"])
def test_the_curl_of_the_page_asks_a_rest_proxy_for_the_change(topic, home, version):
    (commands,) = (text for text in SHELL if "curl" in text and ("/v3/" in text) == (version == "v3"))
    proxy = Proxy(topic.bootstrap)
    run(["bash", "-ec", commands], home, REST=proxy.url, CLUSTER_ID="c1")
    proxy.stop()

    assert_that_the_change_arrived(topic)


class Proxy:
    """Takes a request as the reference of Confluent's REST Proxy describes it, and produces what it asks for."""

    def __init__(self, bootstrap):
        proxy, self._producer = self, Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = proxy.produce(self.path, self.headers["Content-Type"], body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format, *args):  # noqa: A002 - the base class names it
                del format, args

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def produce(self, path, content_type, body):
        if path == f"/topics/{TOPIC}" and content_type == "application/vnd.kafka.binary.v2+json":
            (record,) = body["records"]
            key, value = record["key"], record["value"]
        elif path == f"/v3/clusters/c1/topics/{TOPIC}/records" and content_type == "application/json":
            assert {part["type"] for part in (body["key"], body["value"])} == {"BINARY"}
            key, value = body["key"]["data"], body["value"]["data"]
        else:
            return 404
        self._producer.produce(TOPIC, base64.b64decode(value, validate=True), base64.b64decode(key, validate=True))
        return 200 if not self._producer.flush(20) else 500

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
