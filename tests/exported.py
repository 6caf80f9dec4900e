"""The names of all metrics, as a scrape shows them, taken from where they are declared."""

from prometheus_client import CollectorRegistry

from schemas.metrics import declare_all

_SERIES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def names() -> set[str]:
    registry = CollectorRegistry()
    declare_all(registry)
    return {family.name + end for family in registry.collect() for end in _SERIES[family.type]}
