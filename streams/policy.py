"""The policy of a merge: what configuration says about connectors, resolved anew at every merge."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.records import NEVER, Record
from schemas.refs import DEFAULT_TENANT

OVERRIDE: Final = "override"
"""The pseudo-connector that outranks every priority and never keeps an entity alive."""

DAY: Final = 24 * 60 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorPolicy:
    """What is configured about one connector. Durations are seconds."""

    tenant: str = DEFAULT_TENANT
    priority: int = 0
    ttl: float = NEVER
    grace: float = 0
    max_stale: float = DAY
    asserts_existence: bool = True
    is_complete: bool = False
    """Whether each of its upserts must be a whole entity by Backstage's rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Every connector's policy, and the times at which connectors could not reach their source."""

    connectors: Mapping[str, ConnectorPolicy] = field(default_factory=dict)
    outages: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    """Per connector, (begin, end) in epoch ms, ascending and apart; the end of one that lasts is NEVER."""

    def of(self, connector: str) -> ConnectorPolicy:
        """A connector without configuration has priority 0 and no ttl."""
        if connector == OVERRIDE:
            return _OVERRIDE
        return self.connectors.get(connector, _DEFAULT)

    def ttl(self, record: Record) -> float:
        """Return the ttl of *record* in seconds: its own, else its connector's."""
        return self.of(record.connector).ttl if record.ttl is None else record.ttl

    def priority(self, record: Record) -> float:
        if record.connector == OVERRIDE:
            return NEVER
        return self.of(record.connector).priority if record.priority is None else record.priority


_DEFAULT = ConnectorPolicy()
_OVERRIDE = ConnectorPolicy(asserts_existence=False)
