"""What the role `connectors` exports."""

from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.registry import CollectorRegistry

RUN_OUTCOMES: Final = ("complete", "partial", "failed", "reset")


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
