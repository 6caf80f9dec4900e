"""What the role `processor` exports."""

from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.registry import CollectorRegistry

from schemas.metrics.buckets import DELAYS, SECONDS

OUTCOMES: Final = ("merged", "superseded", "forwarded", "dead_lettered", "control")
STAGES: Final = ("decode", "validate", "merge")
"""At which a processor sets a record aside."""
ENDS: Final = ("deleted", "expired")


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
            "Time to decode, merge and encode runs of records that are merged as one.",
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
        self._declare_course(registry)
        self._declare_connectors(registry)
        for change in ("created", "updated", "deleted"):
            self.emissions.labels(change)

    def _declare_course(self, registry: CollectorRegistry) -> None:
        self.delay_seconds = Histogram(
            "mainstem_processor_delay_seconds",
            "Age of a change, by its record's timestamp, when the broker has answered for all that came of it: of each"
            " run, the first record.",
            registry=registry,
            buckets=DELAYS,
        )
        self.in_flight = Gauge(
            "mainstem_processor_runs_in_flight",
            "Runs of records, those merged as one counted once, for which the broker has not yet answered.",
            registry=registry,
        )
        self.recovery_seconds = Gauge(
            "mainstem_processor_recovery_seconds",
            "How long the last recovery of the local store took, or the one under way has taken so far.",
            registry=registry,
        )
        self.foreign_writes = Counter(
            "mainstem_processor_foreign_writes",
            "Times that records of another worker were found in a partition of this one, which then wrote it anew.",
            registry=registry,
        )
        self.rollout_remaining = Gauge(
            "mainstem_processor_rollout_remaining",
            "Partitions of which not every entity is merged anew yet under the policy that is configured.",
            registry=registry,
        )
        self.quarantined = Counter(
            "mainstem_processor_quarantined",
            "Records, and keys of the changelog, that were set aside: the worker had crashed on them five times.",
            ("topic", "partition"),
            registry=registry,
        )

    def _declare_connectors(self, registry: CollectorRegistry) -> None:
        self.dead_letters = Counter(
            "mainstem_processor_dead_letters",
            "Changes that the processor set aside, by connector and stage.",
            ("connector", "stage"),
            registry=registry,
        )
        self.ended = Counter(
            "mainstem_processor_ended",
            "Entities of a connector that ended: deleted by it, or expired.",
            ("connector", "reason"),
            registry=registry,
        )
        self.outage = Gauge(
            "mainstem_processor_outage",
            "1 while a connector's source has announced an outage and not its recovery, else 0.",
            ("connector",),
            registry=registry,
        )
        self.registry_retries = Counter(
            "mainstem_processor_registry_retries",
            "Questions to the schema registry that have to be asked again: changes wait meanwhile.",
            registry=registry,
        )

    def begin_partition(self, topic: str, partition: int) -> None:
        """Start every series of a partition, and of the connector whose changes it holds."""
        self.records.labels(topic, partition)
        self.expired_unread.labels(topic, partition)
        self.quarantined.labels(topic, partition)
        for outcome in OUTCOMES:
            self.outcomes.labels(topic, partition, outcome)
        connector = topic.rpartition(".")[2]
        self.outage.labels(connector)
        for stage in STAGES:
            self.dead_letters.labels(connector, stage)
        for reason in ENDS:
            self.ended.labels(connector, reason)
