"""Every metric, its name, its labels and what it counts. Nothing else in Mainstem declares one.

`docs/reference/metrics.md` is made from this file. A series whose labels are known is started at zero: a first failure
that has no zero before it is not seen by a rate.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from platform import python_version
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.registry import CollectorRegistry

disable_created_metrics()  # type: ignore[no-untyped-call]

OUTCOMES: Final = ("merged", "superseded", "forwarded", "dead_lettered", "control")
STAGES: Final = ("decode", "validate", "merge")
"""At which a processor sets a record aside."""
ENDS: Final = ("deleted", "expired")
RUN_OUTCOMES: Final = ("complete", "partial", "failed", "reset")
EMITTED: Final = ("applied", "removed", "refused", "conflict")
"""What Backstage says of an entity that was sent to it."""
RESYNCED: Final = ("unchanged", "put")
STATUSES: Final = (200, 500, 503)
"""Of the API's answers: those that every route is sure to give, or must not give unseen."""

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DELAYS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


class RoleMetrics:
    """What every role tells of itself, whatever it does."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.ready = Gauge(
            "mainstem_ready",
            "1 while the role's /readyz answers that it is ready, else 0.",
            registry=registry,
        )
        self.build = Gauge(
            "mainstem_build_info",
            "1; the labels say which version of Mainstem runs, on which Python.",
            ("version", "python"),
            registry=registry,
        )
        self.build.labels(version("mainstem"), python_version()).set(1)


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


class BackstageMetrics:
    """What the sink `backstage` counts beside what every sink does."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.emissions = Counter(
            "mainstem_backstage_emissions",
            "Entities that were sent to Backstage in deltas, by what it said: applied, removed, refused or conflict.",
            ("outcome",),
            registry=registry,
        )
        self.entities = Gauge(
            "mainstem_backstage_entities",
            "Entities by what Backstage said of them last; counted every minute.",
            ("state",),
            registry=registry,
        )
        self.unconfirmed = Gauge(
            "mainstem_backstage_unconfirmed",
            "Entities of the batch under way of which Backstage has not yet said what became of them.",
            registry=registry,
        )
        self.circuit_open = Gauge(
            "mainstem_backstage_circuit_open",
            "1 while Backstage is asked only now and then, since it failed several times in a row, else 0.",
            registry=registry,
        )
        self.last_resync = Gauge(
            "mainstem_backstage_last_resync_seconds",
            "Unix time at which the last resync was complete; 0 before the first one.",
            registry=registry,
        )
        self.resync_interval = Gauge(
            "mainstem_backstage_resync_interval_seconds",
            "The time between two resyncs, as it is configured.",
            registry=registry,
        )
        self.resynced = Counter(
            "mainstem_backstage_resynced_shards",
            "Shards that a resync found as they were left (unchanged), or put anew (put).",
            ("result",),
            registry=registry,
        )
        for outcome in EMITTED:
            self.emissions.labels(outcome)
            self.entities.labels(outcome)
        for result in RESYNCED:
            self.resynced.labels(result)

    def hold(self, counts: Mapping[str, int]) -> None:
        """Backstage has said of so many entities what each state says."""
        for state in EMITTED:
            self.entities.labels(state).set(counts.get(state, 0))


class ConnectorMetrics:
    """What the connectors' runner counts."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        connector = ("connector",)
        self.published = Counter(
            "mainstem_connector_changes", "Changes that Kafka acknowledged.", connector, registry=registry
        )
        self.refused = Counter(
            "mainstem_connector_refused",
            "Documents that the connector could not publish.",
            connector,
            registry=registry,
        )
        self.runs = Counter(
            "mainstem_connector_runs", "Runs, by how they ended.", ("connector", "outcome"), registry=registry
        )
        self.last_success = Gauge(
            "mainstem_connector_last_success_seconds",
            "Unix time at which the last complete run ended; 0 before the first one.",
            connector,
            registry=registry,
        )
        self.interval = Gauge(
            "mainstem_connector_interval_seconds",
            "How long the connector rests between two runs.",
            connector,
            registry=registry,
        )
        self.run_seconds = Gauge(
            "mainstem_connector_run_seconds", "How long the last complete run took.", connector, registry=registry
        )

        self._declare_ledger(registry)

    def _declare_ledger(self, registry: CollectorRegistry) -> None:
        connector = ("connector",)
        self.unchanged = Counter(
            "mainstem_connector_unchanged",
            "Entities that a run found as they were published before, and did not publish again.",
            connector,
            registry=registry,
        )
        self.deleted = Counter(
            "mainstem_connector_deleted",
            "Deletes that the connector published since the source no longer has the entity.",
            connector,
            registry=registry,
        )
        self.entities = Gauge(
            "mainstem_connector_entities",
            "Entities that the connector holds, when its last complete run ended.",
            connector,
            registry=registry,
        )
        self.held = Gauge(
            "mainstem_connector_held_deletions",
            "Deletions that wait for somebody to approve or reject them.",
            connector,
            registry=registry,
        )
        self.failures = Gauge(
            "mainstem_connector_failures",
            "Runs that failed, in a row; 0 after a complete one.",
            connector,
            registry=registry,
        )

    def begin(self, connector: str, interval_seconds: float) -> None:
        """Start every series of a connector."""
        for each in (self.published, self.refused, self.unchanged, self.deleted):
            each.labels(connector)
        self.last_success.labels(connector)
        self.held.labels(connector)
        self.failures.labels(connector)
        self.interval.labels(connector).set(interval_seconds)
        for outcome in RUN_OUTCOMES:
            self.runs.labels(connector, outcome)

    def took(self, connector: str, published: int, unchanged: int, refused: int) -> None:
        """A page was taken."""
        self.published.labels(connector).inc(published)
        self.unchanged.labels(connector).inc(unchanged)
        self.refused.labels(connector).inc(refused)

    def stands(self, connector: str, *, failures: int, held: int, last_success: float) -> None:
        """Where the connector stands, whichever process ran it last. *last_success*: epoch seconds, 0 = never."""
        self.failures.labels(connector).set(failures)
        self.held.labels(connector).set(held)
        self.last_success.labels(connector).set(last_success)

    def ended(self, connector: str, outcome: str) -> None:
        """A run ended otherwise than complete."""
        self.runs.labels(connector, outcome).inc()

    def completed(self, connector: str, *, seconds: float, entities: int, rest_seconds: float) -> None:
        """A complete run took *seconds*; the next one begins in *rest_seconds*."""
        self.runs.labels(connector, "complete").inc()
        self.run_seconds.labels(connector).set(seconds)
        self.entities.labels(connector).set(entities)
        self.interval.labels(connector).set(rest_seconds)


class ApiMetrics:
    """What the HTTP API counts. A route is its template, such as `/v1/entities/{ref}`; `none` is a path without one."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self.requests = Counter(
            "mainstem_api_requests",
            "Requests answered, by route template and status.",
            ("method", "route", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "mainstem_api_request_seconds",
            "Time to answer a request.",
            ("method", "route"),
            registry=registry,
            buckets=SECONDS,
        )
        self.pool = Gauge(
            "mainstem_api_pool_connections",
            "Connections to Postgres that are open: in use, or idle.",
            ("state",),
            registry=registry,
        )
        self.entities = Gauge(
            "mainstem_catalog_entities",
            "Merged entities in Postgres, by kind; counted every 15 s or more rarely.",
            ("kind",),
            registry=registry,
        )
        self.records = Gauge(
            "mainstem_catalog_records",
            "Entities that a connector speaks of, in Postgres, less those that it deleted; counted as the entities.",
            ("connector",),
            registry=registry,
        )
        self.overrides = Gauge(
            "mainstem_overrides",
            "Overrides that are set, by how they stand to what lies beneath; counted as the entities.",
            ("state",),
            registry=registry,
        )
        self.override_drifts = Counter(
            "mainstem_override_drifts",
            "Times that the value beneath an override was found to have changed.",
            registry=registry,
        )
        self.overrides_ended = Counter(
            "mainstem_overrides_ended",
            "Overrides that somebody withdrew, or that ran out.",
            ("how",),
            registry=registry,
        )
        for how in ("withdrawn", "expired"):
            self.overrides_ended.labels(how)
        self.waiting = Gauge(
            "mainstem_api_pool_waiting", "Requests that wait for a connection to Postgres.", registry=registry
        )

        self.event_streams = Gauge(
            "mainstem_api_event_streams", "Clients that listen to `/v1/events` of this process.", registry=registry
        )
        self.events_sent = Counter("mainstem_api_events_sent", "Events sent to clients that listen.", registry=registry)
        self.event_streams_cut = Counter(
            "mainstem_api_event_streams_cut", "Clients that were cut off since too much waited.", registry=registry
        )

    def begin(self, method: str, route: str) -> None:
        """Start every series of a route."""
        self.request_seconds.labels(method, route)
        for status in STATUSES:
            self.requests.labels(method, route, status)

    def watch_pool(self, stats: Callable[[], dict[str, int]]) -> None:
        """Read the pool's state from *stats* (that of psycopg's pool) at every scrape."""
        self.pool.labels("idle").set_function(lambda: stats().get("pool_available", 0))
        self.pool.labels("in_use").set_function(lambda: _in_use(stats()))
        self.waiting.set_function(lambda: stats().get("requests_waiting", 0))


def _in_use(stats: dict[str, int]) -> int:
    return max(0, stats.get("pool_size", 0) - stats.get("pool_available", 0))


def declare_all(registry: CollectorRegistry) -> None:
    """Declare every metric that any role exports."""
    RoleMetrics(registry)
    ProcessorMetrics(registry)
    SinkMetrics("postgres", registry)
    BackstageMetrics(registry)
    ConnectorMetrics(registry)
    ApiMetrics(registry)
