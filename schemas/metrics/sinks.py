"""What the role `sinks` exports, whatever the sink."""

from collections.abc import Iterable

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.registry import CollectorRegistry

from schemas.metrics.buckets import DELAYS, SECONDS, SIZES


class SinkMetrics:
    """What a sink counts."""

    def __init__(self, sink: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._sink = sink
        self.rows = Counter(
            "mainstem_sink_records", "Records that the sink carried on.", ("sink", "topic"), registry=registry
        )
        self.dead_letters = Counter(
            "mainstem_sink_dead_letters",
            "Records that the sink could not carry on.",
            ("sink", "topic"),
            registry=registry,
        )
        self.late = Counter(
            "mainstem_sink_late_records",
            "Records passed over: a worker wrote them that had lost its partition, and its successor writes them anew.",
            ("sink", "topic"),
            registry=registry,
        )
        self.retries = Counter(
            "mainstem_sink_retries", "Batches tried again after a fault that may pass.", ("sink",), registry=registry
        )
        self.lag = Gauge(
            "mainstem_sink_lag", "Records not yet carried on.", ("sink", "topic", "partition"), registry=registry
        )
        self._declare_batches(registry)
        self._declare_rebuilds(registry)
        for each in (self.retries, self.progress, self.rebuilding, self.purged):
            each.labels(sink)

    def _declare_batches(self, registry: CollectorRegistry) -> None:
        self.batch_seconds = Histogram(
            "mainstem_sink_batch_seconds",
            "Time to carry one batch on.",
            ("sink",),
            registry=registry,
            buckets=SECONDS,
        )
        self.batch_records = Histogram(
            "mainstem_sink_batch_records",
            "Records of one batch.",
            ("sink",),
            registry=registry,
            buckets=SIZES,
        )
        self.delay_seconds = Histogram(
            "mainstem_sink_delay_seconds",
            "Age of a record, by its timestamp, when it was carried on: of each batch, the first record.",
            ("sink",),
            registry=registry,
            buckets=DELAYS,
        )
        self.progress = Gauge(
            "mainstem_sink_last_progress_seconds",
            "Unix time at which the sink last finished a batch or found nothing to do; 0 before the first time.",
            ("sink",),
            registry=registry,
        )

    def carried(self, timestamps_ms: Iterable[int], seconds: float, now: float) -> None:
        """A batch of records with these timestamps was carried on in *seconds*; *now* is epoch seconds."""
        timestamps = list(timestamps_ms)
        self.batch_seconds.labels(self._sink).observe(seconds)
        self.batch_records.labels(self._sink).observe(len(timestamps))
        if timestamps:
            self.delay_seconds.labels(self._sink).observe(max(0.0, now - timestamps[0] / 1000))

    def _declare_rebuilds(self, registry: CollectorRegistry) -> None:
        self.rebuilding = Gauge(
            "mainstem_sink_rebuilding", "Partitions that are being read anew.", ("sink",), registry=registry
        )
        self.rebuilds = Counter(
            "mainstem_sink_rebuilds", "Partitions that were read anew as a whole.", ("sink", "topic"), registry=registry
        )
        self.replayed = Counter(
            "mainstem_sink_replayed",
            "Records carried on while their partition was read anew.",
            ("sink", "topic"),
            registry=registry,
        )
        self.swept = Counter(
            "mainstem_sink_swept",
            "Entities whose rows were taken away since a rebuild did not see them.",
            ("sink", "topic"),
            registry=registry,
        )
        self.purged = Counter(
            "mainstem_sink_purged", "Rows of entities that vanished long ago.", ("sink",), registry=registry
        )

    def begin_topic(self, sink: str, topic: str) -> None:
        """Start every series of a topic."""
        for each in (self.rows, self.dead_letters, self.late, self.rebuilds, self.replayed, self.swept):
            each.labels(sink, topic)
