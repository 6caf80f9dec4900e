"""A sink projected anew: asked for, carried out by the members of its group, and watched until it is done.

A sink that stores its positions is asked through its own system, and the command joins its group as one more member:
at that rebalance every member learns of the request, and each reads the partitions that it is given anew. For a sink
that leaves its positions to Kafka they are set back, which Kafka refuses while a member is alive.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from mainstem.cluster import Cluster
from schemas.errors import Retriable, UnavailableError
from schemas.metrics import SinkMetrics
from sinks import kafka
from sinks.base import Partition, Positions, Sink, SinkSettings
from sinks.placement import watermarks
from sinks.registry import create
from sinks.runner import SinkRunner

LOOK_SECONDS: Final = 0.5

Show = Callable[[int, int], None]
"""Is told how many of how many records are done."""


class Rebuild:
    """One rebuild of one sink."""

    def __init__(self, settings: SinkSettings, cluster: Cluster) -> None:
        self._settings = settings
        self._cluster = cluster
        self._group = settings.topics.sink_group(settings.name)
        # Looks on from this thread; the sink that writes is the runner's.
        self.sink: Sink = create(settings)
        self._consumer: Consumer = kafka.consumer(settings.client, self._group, on_commit=_ignored, on_look=_ignored)
        self._is_stored = False
        self._bounds: Mapping[Partition, tuple[int, int]] = {}

    def run(self, show: Show) -> int:
        """Return how many offsets were read anew, once all is done. Ctrl-C ends this process's part in it."""
        try:
            self._request()
            self._carry_out(show)
        finally:
            self._consumer.close()
            self.sink.close()
        return sum(high - low for low, high in self._bounds.values())

    def _request(self) -> None:
        found = self._cluster.existing(self.sink.topics)
        partitions = [(name, number) for name, topic in found.items() for number in range(topic.partitions)]
        try:
            self._bounds = {partition: watermarks(self._consumer, partition) for partition in partitions}
        except KafkaException as error:
            raise kafka.fault(error.args[0]) from None
        self._is_stored = self.sink.stored_positions(()) is not None
        if self._is_stored:
            self.sink.request_rebuild(partitions)
        elif not self._cluster.reset_offsets(self._group, {at: low for at, (low, _) in self._bounds.items()}):
            raise UnavailableError(
                f"the sink {self._settings.name} runs: a rebuild sets back how far it has read, which cannot be done"
                f" meanwhile; stop it (and `mainstem up`), run `mainstem sinks rebuild {self._settings.name}` again"
            )

    def _carry_out(self, show: Show) -> None:
        stop, faults = threading.Event(), list[BaseException]()
        worker = threading.Thread(target=self._work, args=(stop, faults), daemon=True)
        worker.start()
        try:
            while not self._is_done(show):
                if not worker.is_alive():
                    raise faults[0] if faults else UnavailableError("the sink ended before the rebuild did")
                time.sleep(LOOK_SECONDS)
        finally:
            stop.set()
            worker.join()

    def _work(self, stop: threading.Event, faults: list[BaseException]) -> None:
        try:
            metrics = SinkMetrics(self._settings.name, CollectorRegistry())
            SinkRunner(create(self._settings), metrics=metrics).run(stop)
        except BaseException as fault:  # noqa: BLE001 - raised again by the thread that watches
            faults.append(fault)

    def _is_done(self, show: Show) -> bool:
        partitions = self._bounds.keys()
        try:
            positions = self._positions(partitions)
            left = bool(self.sink.rebuilding(partitions))
        except Retriable:
            return False
        done = {at: min(max(positions.get(at, low), low), high) - low for at, (low, high) in self._bounds.items()}
        total = {at: high - low for at, (low, high) in self._bounds.items()}
        show(sum(done.values()), sum(total.values()))
        return not left and (self._is_stored or done == total)

    def _positions(self, partitions: Collection[Partition]) -> Positions:
        stored = self.sink.stored_positions(partitions)
        if stored is not None:
            return stored
        try:
            answers = self._consumer.committed([TopicPartition(*each) for each in partitions], timeout=10)
        except KafkaException as error:
            raise Retriable("Kafka does not say how far the sink has read") from error
        return {(answer.topic, answer.partition): answer.offset for answer in answers}


def _ignored(*_: object) -> None:
    """Nothing is committed here, and nobody asks for the state of the connections."""
