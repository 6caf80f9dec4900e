"""What the role `api` exports."""

from collections.abc import Callable
from functools import cache
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.registry import CollectorRegistry

from schemas.metrics.buckets import SECONDS

STATUSES: Final = (200, 500, 503)
"""Of the API's answers: those that every route is sure to give, or must not give unseen."""


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
        self.waiting = Gauge(
            "mainstem_api_pool_waiting", "Requests that wait for a connection to Postgres.", registry=registry
        )
        # The library takes longer to find a series by its labels than to add to it.
        self._series = cache(lambda *labels: (self.requests.labels(*labels), self.request_seconds.labels(*labels[:2])))
        self._declare_catalog(registry)
        self._declare_streams(registry)

    def _declare_catalog(self, registry: CollectorRegistry) -> None:
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

    def _declare_streams(self, registry: CollectorRegistry) -> None:
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

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer that took *seconds*."""
        count, duration = self._series(method, route, status)
        count.inc()
        duration.observe(seconds)

    def watch_pool(self, stats: Callable[[], dict[str, int]]) -> None:
        """Read the pool's state from *stats* (that of psycopg's pool) at every scrape."""
        self.pool.labels("idle").set_function(lambda: stats().get("pool_available", 0))
        self.pool.labels("in_use").set_function(lambda: _in_use(stats()))
        self.waiting.set_function(lambda: stats().get("requests_waiting", 0))


def _in_use(stats: dict[str, int]) -> int:
    return max(0, stats.get("pool_size", 0) - stats.get("pool_available", 0))
