"""What a panel is, and the expressions that many of them use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

ROLE: Final = 'role=~"$role"'
CONNECTOR: Final = 'connector=~"$connector"'
RATE: Final = "[$__rate_interval]"

Query = tuple[str, str]
"""The legend of its series, and its expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One panel. *units* is Grafana's id of a unit; *alarm* is the value from which a number is red."""

    title: str
    about: str
    queries: Sequence[Query]
    units: str = "short"
    kind: Literal["number", "lines", "bars", "areas", "states"] = "lines"
    width: int = 8
    alarm: float | None = None


def quantiles(metric: str, of: str, by: str = "", labels: str = "") -> list[Query]:
    """Return median and 99th percentile of a histogram; *by* is a label that stands in the legend."""
    named = f"{{{{{by}}}}} " if by else ""
    buckets = f"sum by ({', '.join(filter(None, ('le', by)))}) (rate({metric}_bucket{{{labels}}}{RATE}))"
    return [(f"{named}{of} {name}", f"histogram_quantile({share}, {buckets})") for share, name in _SHARES]


_SHARES: Final = ((0.5, "p50"), (0.99, "p99"))


def rate(metric: str, by: str, labels: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}{RATE}))"
