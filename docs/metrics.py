"""Writes `docs/reference/metrics.md`: `make generated`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from schemas import metrics

FILE: Final = Path(__file__).parent / "reference/metrics.md"
_HEAD: Final = """\
# Metrics

Made from `schemas/metrics/`. Beside these, every role exports what Prometheus' client tells of a process:
`process_resident_memory_bytes`, `process_cpu_seconds_total`, `process_start_time_seconds`. In the answer of an API
beside `mainstem up`, every series has the label `role` as well. A histogram `X` has the series `X_bucket`, `X_sum` and
`X_count`.
"""
_PARTS: Final = {
    "Every role": metrics.RoleMetrics,
    "Processor": metrics.ProcessorMetrics,
    "Sinks": lambda registry: metrics.SinkMetrics("postgres", registry),
    "Sink `backstage`": metrics.BackstageMetrics,
    "Connectors": metrics.ConnectorMetrics,
    "API": metrics.ApiMetrics,
}


def reference() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *(line for title in _PARTS for line in _part(title))])


def _part(title: str) -> Iterator[str]:
    registry = CollectorRegistry()
    _PARTS[title](registry)
    yield f"## {title}\n"
    yield "| metric | type | labels | meaning |\n|---|---|---|---|"
    for collector in registry._collector_to_names:  # noqa: SLF001 - the labels stand nowhere else
        yield _row(collector)
    yield ""


def _row(collector: Any) -> str:
    (family,) = collector.describe()
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ", ".join(f"`{label}`" for label in collector._labelnames)  # noqa: SLF001 - the same
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


if __name__ == "__main__":
    FILE.write_text(reference())
