"""The policy of a merge: what configuration says about connectors, resolved anew at every merge."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.canonical import canonical_json
from schemas.records import NEVER, Record
from schemas.refs import DEFAULT_TENANT
from streams.rules import Plan, Rule

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
    """Every connector's policy, the rules, and the times at which connectors could not reach their source."""

    connectors: Mapping[str, ConnectorPolicy] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    revision: int = 0
    """Raised by whoever changes the configuration; a worker never undoes a higher one."""
    outages: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    """Per connector, (begin, end) in epoch ms, ascending and apart; the end of one that lasts is NEVER."""
    _plans: dict[str, Plan] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """Hex text that differs between two policies under which the same records may merge differently.

        Without outages, which come and go; without the revision, by which nothing is merged.
        """
        told = {name: _told(policy) for name, policy in self.connectors.items()}
        differing = {name: row for name, row in told.items() if row != _told(_DEFAULT)}
        rules = sorted(canonical_json(rule.identity) for rule in self.rules)
        return hashlib.blake2b(b"\n".join([canonical_json(differing), *rules]), digest_size=16).hexdigest()

    @property
    def looks_at_time(self) -> bool:
        """Whether an unchanged upsert that only renews a record's life may change what is merged."""
        return any(rule.strategy.looks_at_time for rule in self.rules)

    def plan(self, kind: str) -> Plan:
        """Return the rules for entities of *kind*, lower-cased."""
        # Kinds are a payload's: what is kept is bounded by those that a rule names.
        known = kind if any(kind in rule.kinds for rule in self.rules if rule.kinds) else ""
        if known not in self._plans:
            self._plans[known] = Plan(self.rules, known)
        return self._plans[known]

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


def _told(policy: ConnectorPolicy) -> list[object]:
    """Return what of *policy* decides a merge. A duration is told as text: JSON knows no infinity."""
    durations = [str(float(seconds)) for seconds in (policy.ttl, policy.grace, policy.max_stale)]
    return [policy.priority, *durations, policy.asserts_existence]


_DEFAULT = ConnectorPolicy()
_OVERRIDE = ConnectorPolicy(asserts_existence=False)
