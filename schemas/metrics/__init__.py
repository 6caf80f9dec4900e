"""Every metric, its name, its labels and what it counts: a module for each role. Nothing else in Mainstem declares one.

`docs/reference/metrics.md` is made from this package. A series whose labels are known is started at zero: a first
failure that has no zero before it is not seen by a rate.
"""

from prometheus_client import disable_created_metrics
from prometheus_client.registry import CollectorRegistry

from schemas.metrics.api import ApiMetrics
from schemas.metrics.backstage import BackstageMetrics
from schemas.metrics.connectors import ConnectorMetrics
from schemas.metrics.processor import OUTCOMES, ProcessorMetrics
from schemas.metrics.roles import RoleMetrics
from schemas.metrics.sinks import SinkMetrics

__all__ = [
    "OUTCOMES",
    "ApiMetrics",
    "BackstageMetrics",
    "ConnectorMetrics",
    "ProcessorMetrics",
    "RoleMetrics",
    "SinkMetrics",
    "declare_all",
]

disable_created_metrics()  # type: ignore[no-untyped-call]


def declare_all(registry: CollectorRegistry) -> None:
    """Declare every metric that any role exports."""
    RoleMetrics(registry)
    ProcessorMetrics(registry)
    SinkMetrics("postgres", registry)
    BackstageMetrics(registry)
    ConnectorMetrics(registry)
    ApiMetrics(registry)
