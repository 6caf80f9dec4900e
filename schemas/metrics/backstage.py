"""What the sink `backstage` exports beside what every sink does."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.registry import CollectorRegistry

EMITTED: Final = ("applied", "removed", "refused", "conflict")
"""What Backstage says of an entity that was sent to it."""
RESYNCED: Final = ("unchanged", "put")


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
