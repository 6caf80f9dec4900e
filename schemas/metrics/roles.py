"""What every role exports."""

from importlib.metadata import version
from platform import python_version

from prometheus_client import REGISTRY, Gauge
from prometheus_client.registry import CollectorRegistry


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
