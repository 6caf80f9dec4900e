"""What a sink says of itself while it gets on, and while it does not."""

import json
import tempfile
import threading
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from mainstem.cluster import Cluster
from mainstem.embedded import EmbeddedKafka, default_cache_dir
from mainstem.roles.health import PATIENCE_SECONDS, Progress
from schemas.metrics import SinkMetrics
from schemas.topics import Topics
from sinks import kafka
from sinks.base import SinkSettings
from sinks.runner import SinkRunner
from tests.integration.sinks.test_incidents_sink import ListSink
from tests.patience import granted


class Asked:
    """A sink that runs, and its readiness on a clock that the test moves."""

    def __init__(self, sink):
        self.registry, self.now = CollectorRegistry(), 0.0
        self.runner = SinkRunner(sink, metrics=SinkMetrics("list", self.registry))
        self._progress = Progress(lambda: self.runner.lag, lambda: self.runner.done, clock=lambda: self.now)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.runner.run, args=(self._stop,), daemon=True)
        self._thread.start()

    def is_ready(self, *, after=0.0):
        self.now += after
        return self._progress.readiness().is_ready

    def value(self, name, **labels):
        return self.registry.get_sample_value(name, {"sink": "list", **labels})

    def stop(self):
        self._stop.set()
        self._thread.join(30)


@pytest.fixture
def asked(stage):
    sink = ListSink(stage.settings("list"))
    found = Asked(sink)
    yield found, sink, stage
    found.stop()


def test_a_sink_that_tries_again_for_ever_is_not_ready_until_it_gets_on(asked, eventually):
    found, sink, stage = asked
    assert not found.is_ready()
    eventually(lambda: found.runner.lag == 0)
    assert found.is_ready(after=2 * PATIENCE_SECONDS)

    # On a busy machine it has tried again while it began, too.
    tried = found.value("mainstem_sink_retries_total")
    sink.away.set()
    stage.publish(stage.topics.entities, b"k", b"value")
    eventually(lambda: found.value("mainstem_sink_retries_total") >= tried + 2)
    answers = [found.is_ready(after=PATIENCE_SECONDS / 2) for _ in range(3)]
    assert (found.runner.lag, answers) == (1, [True, False, False])

    sink.away.clear()
    eventually(lambda: found.runner.lag == 0)
    assert found.is_ready()


def test_batches_their_size_delay_and_progress_are_counted(asked, eventually):
    found, _, stage = asked
    began = time.time()
    for number in range(7):
        stage.publish(stage.topics.entities, b"k%d" % number, b"value")
    eventually(lambda: found.value("mainstem_sink_records_total", topic=stage.topics.entities) == 7)
    eventually(lambda: found.runner.lag == 0)

    assert found.value("mainstem_sink_batch_records_sum") == 7
    assert found.value("mainstem_sink_batch_seconds_count") == found.value("mainstem_sink_delay_seconds_count") > 0
    assert 0 < found.value("mainstem_sink_delay_seconds_sum") < 7 * (time.time() - began)
    assert began < found.value("mainstem_sink_last_progress_seconds") <= time.time()


@pytest.mark.parametrize("is_there", [True, False])
def test_whether_a_broker_answers_is_seen_in_what_librdkafka_tells(stage, is_there):
    looks = []
    client = {"bootstrap.servers": stage.bootstrap if is_there else "127.0.0.1:1", "log_level": 0}
    consumer = kafka.consumer(client, "looking", on_commit=lambda *_: None, on_look=looks.append)
    consumer.subscribe([stage.topics.entities])
    until = granted() + 30
    while not looks and granted() < until:
        consumer.poll(0.2)
    consumer.close()

    assert json.loads(looks[0])["brokers"]
    assert kafka.is_connected(looks[0]) is is_there


def test_a_sink_whose_broker_is_gone_is_not_ready_until_it_is_back(eventually):
    with tempfile.TemporaryDirectory(prefix="mst-") as home:
        service = EmbeddedKafka(Path(home), cache_dir=default_cache_dir())
        service.start()
        topics = Topics(prefix="gone", partitions=1, replication_factor=1)
        Cluster({"bootstrap.servers": service.address}).create(topics.definitions([]))
        settings = SinkSettings(name="list", topics=topics, client={"bootstrap.servers": service.address})
        found = Asked(ListSink(settings))
        try:
            eventually(lambda: found.runner.lag == 0)
            service.stop()
            eventually(lambda: found.runner.lag is None)
            assert not found.is_ready()
            service.start()
            eventually(lambda: found.runner.lag == 0)
            assert found.is_ready()
        finally:
            found.stop()
            service.stop()
