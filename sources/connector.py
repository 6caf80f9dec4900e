"""One configured instance of a source, as the runner needs it, and the place where it runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from schemas.metrics import ConnectorMetrics
from schemas.topics import Topics
from sources.base import Source
from sources.guard import Limits
from sources.leases import LEASE_SECONDS, Pool
from sources.schedule import Schedule
from sources.sieve import Sieve

_REVISION: Final = 2
"""Raised when a run that another version began cannot be gone on with: what it has seen was written otherwise."""


def _nothing(label: str) -> None:
    del label


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """*origin*: what its source is made of, as text; another one is read anew as a whole, and at once."""

    id: str
    source: Source
    sieve: Sieve
    schedule: Schedule = field(default_factory=Schedule)
    limits: Limits = field(default_factory=Limits)
    burst_seconds: float = 10.0
    """For how long pages are taken one after the other."""
    interval_seconds: float = 30.0
    """How long the run pauses between two bursts."""
    origin: str = ""

    @property
    def lease(self) -> str:
        return f"connector:{self.id}"

    @property
    def fingerprint(self) -> str:
        return blake2b(f"{_REVISION}\n{self.origin}\n{self.sieve.fingerprint}".encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where connectors run: Postgres, Kafka, and what counts them."""

    pool: Pool
    client: Mapping[str, str | int | bool]
    cluster: str
    """The id of the Kafka cluster."""
    topics: Topics
    metrics: ConnectorMetrics
    holder: str
    """Names this process to whoever wonders who runs a connector."""
    lease_seconds: float = LEASE_SECONDS
    answer_seconds: float = 30.0
    """For how long Postgres may keep still while nothing runs: a connection may be open at this end alone."""
    reached: Callable[[str], None] = _nothing
    """Called at each point of a run at which a process may end: `page.read`, `page.intended`, `page.published`,
    `page.saved`, `sweep.begun`, `sweep.taken`, `sweep.published`, `sweep.forgotten`, `run.swept`, `run.ended`."""
