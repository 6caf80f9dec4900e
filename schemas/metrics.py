"""Every metric, its name, its labels and what it counts. Nothing else in Mainstem declares one."""

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.registry import CollectorRegistry

disable_created_metrics()  # type: ignore[no-untyped-call]

OUTCOMES = ("merged", "superseded", "forwarded", "dead_lettered", "control")
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ProcessorMetrics:
    """What a processor worker counts. Of each changes partition, records = the sum of the outcomes."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        partition = ("topic", "partition")
        self.records = Counter(
            "mainstem_processor_records", "Records taken from the changes topics.", partition, registry=registry
        )
        self.outcomes = Counter(
            "mainstem_processor_outcomes",
            "What became of the records: merged, superseded, forwarded, dead_lettered or control.",
            (*partition, "outcome"),
            registry=registry,
        )
        self.lag = Gauge(
            "mainstem_processor_lag",
            "Records of a changes partition that are not yet merged and acknowledged.",
            partition,
            registry=registry,
        )
        self.merge_seconds = Histogram(
            "mainstem_processor_merge_seconds",
            "Time to decode, merge and encode one run of records.",
            registry=registry,
            buckets=SECONDS,
        )
        self.write_seconds = Histogram(
            "mainstem_processor_write_seconds",
            "Time from a merged run to the broker's answer for all that it wrote.",
            registry=registry,
            buckets=SECONDS,
        )
        self.emissions = Counter(
            "mainstem_processor_emissions", "Merged entities published, by change.", ("change",), registry=registry
        )
        self.expiries = Counter(
            "mainstem_processor_expiries", "Entities merged anew because a deadline passed.", registry=registry
        )
        self.expired_unread = Counter(
            "mainstem_processor_expired_unread",
            "Records that their topic's retention removed before they were read.",
            partition,
            registry=registry,
        )
        self.recovered = Counter(
            "mainstem_processor_recovered", "Changelog records read back into the local store.", registry=registry
        )
        self.recovery_remaining = Gauge(
            "mainstem_processor_recovery_remaining",
            "Changelog records that recovery has still to read.",
            registry=registry,
        )
        self.partitions = Gauge(
            "mainstem_processor_partitions", "Changes partitions that this worker processes.", registry=registry
        )
        self.quarantined = Counter(
            "mainstem_processor_quarantined",
            "Records set aside because the processor ended again and again while it merged them.",
            registry=registry,
        )
        self.rollout_remaining = Gauge(
            "mainstem_processor_rollout_remaining",
            "Partitions of which not every entity is merged under the policy that is configured.",
            registry=registry,
        )
        self.outage = Gauge(
            "mainstem_processor_outage",
            "Whether a connector reports that it cannot reach its source.",
            ("connector",),
            registry=registry,
        )
        for change in ("created", "updated", "deleted"):
            self.emissions.labels(change)

    def begin_partition(self, topic: str, partition: int) -> None:
        """Start every series of a partition at zero: a first failure that has no zero before it is not seen."""
        self.records.labels(topic, partition)
        for outcome in OUTCOMES:
            self.outcomes.labels(topic, partition, outcome)


class SinkMetrics:
    """What a sink counts."""

    def __init__(self, sink: str, registry: CollectorRegistry = REGISTRY) -> None:
        self.rows = Counter(
            "mainstem_sink_records", "Records that the sink carried on.", ("sink", "topic"), registry=registry
        )
        self.dead_letters = Counter(
            "mainstem_sink_dead_letters",
            "Records that the sink could not carry on.",
            ("sink", "topic"),
            registry=registry,
        )
        self.retries = Counter(
            "mainstem_sink_retries", "Batches tried again after a fault that may pass.", ("sink",), registry=registry
        )
        self.batch_seconds = Histogram(
            "mainstem_sink_batch_seconds", "Time to carry one batch on.", ("sink",), registry=registry, buckets=SECONDS
        )
        self.lag = Gauge(
            "mainstem_sink_lag", "Records not yet carried on.", ("sink", "topic", "partition"), registry=registry
        )
        self.retries.labels(sink)


class ConnectorMetrics:
    """What the connectors' runner counts."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.published = Counter(
            "mainstem_connector_changes", "Changes that Kafka acknowledged.", ("connector",), registry=registry
        )
        self.refused = Counter(
            "mainstem_connector_refused",
            "Documents that the connector could not publish.",
            ("connector",),
            registry=registry,
        )
        self.runs = Counter(
            "mainstem_connector_runs", "Runs, by how they ended.", ("connector", "outcome"), registry=registry
        )
        self.last_success = Gauge(
            "mainstem_connector_last_success_seconds",
            "Unix time at which the last complete run ended.",
            ("connector",),
            registry=registry,
        )
