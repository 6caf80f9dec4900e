"""What somebody supposes: connectors that are not there, or another policy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt, ValidationError, model_validator

from mainstem.configuration.rules import MergeConfig
from mainstem.configuration.section import Section
from mainstem.configuration.sentences import sentence
from mainstem.configuration.values import Duration, WholeSeconds, not_empty
from mainstem.policies import rule_of
from schemas.canonical import canonical_json, pointer
from schemas.errors import ConfigError, MainstemError
from schemas.records import NEVER
from schemas.refs import EntityRef
from schemas.topics import CONNECTOR_ID
from streams.policy import ConnectorPolicy, Policy
from streams.rules import Rule

Faults = list[tuple[str, str]]
"""(JSON pointer into the body, sentence)."""
_LONG: Final = 2**63


class UnfitError(MainstemError):
    """The body says nothing that can be supposed; *faults* says what is wrong where."""

    def __init__(self, faults: Faults) -> None:
        super().__init__("; ".join(f"{at or '/'}: {reason}" for at, reason in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposition:
    """*without*: connectors that have no record. *policy*: by which the others are merged."""

    policy: Policy
    without: frozenset[str]
    touched: frozenset[str] | None
    """Only entities of which one of these has a record can differ; None = any can."""
    entity_ref: str | None
    """None = every entity is asked about."""
    named: Mapping[str, str]
    """Every connector that the body speaks of, by the pointer at which it does."""


def supposed(body: Any, policy: Policy) -> Supposition:
    """Return what *body* supposes where *policy* is the present one. Raises UnfitError with every fault."""
    try:
        read = _Body.model_validate(body)
    except ValidationError as error:
        raise UnfitError(list(_faults(error))) from None
    changed = policy if read.policy is None else _changed(policy, read.policy)
    return Supposition(
        policy=changed,
        without=frozenset(read.without or ()),
        touched=_touched(policy, changed, read),
        entity_ref=read.entity_ref,
        named=dict(_named(read)),
    )


def _connector(value: str) -> str:
    if not CONNECTOR_ID.fullmatch(value):
        raise ValueError("a connector's id is 1 to 63 lower-case letters, digits and dashes")
    return value


def _reference(value: str) -> str:
    try:
        return str(EntityRef.parse(value))
    except ValueError:
        raise ValueError("must be a reference, such as component:default/pay") from None


_Connector = Annotated[str, AfterValidator(_connector)]


class _ConnectorChange(Section):
    """What of a connector is another; a field that is left out stays as it is, and a *ttl* of null never ends."""

    priority: StrictInt = Field(default=0, ge=-_LONG, lt=_LONG)
    ttl: WholeSeconds | None = None
    grace: Duration = timedelta()
    max_stale: Duration = timedelta()
    asserts_existence: StrictBool = True


class _PolicyChange(MergeConfig):
    """`merge` as in the configuration; without *rules* they stay as they are. *connectors*: what of them changes."""

    connectors: dict[_Connector, _ConnectorChange] = Field(default_factory=dict)


class _Body(Section):
    without: Annotated[tuple[_Connector, ...], AfterValidator(not_empty)] | None = None
    policy: _PolicyChange | None = None
    entity_ref: Annotated[str, AfterValidator(_reference)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.without is None) == (self.policy is None):
            raise ValueError("must have either without or policy")
        return self


def _changed(policy: Policy, change: _PolicyChange) -> Policy:
    rules = policy.rules if "rules" not in change.model_fields_set else _rules(change)
    connectors = {name: _connector_policy(policy.of(name), each) for name, each in change.connectors.items()}
    return Policy(
        connectors={**policy.connectors, **connectors},
        rules=rules,
        revision=policy.revision,
        outages=policy.outages,
    )


def _rules(change: _PolicyChange) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    faults: Faults = []
    for number, each in enumerate(change.rules):
        try:
            rules.append(rule_of(each))
        except ConfigError as error:
            faults.append((pointer("policy", "rules", str(number)), str(error)))
    if faults:
        raise UnfitError(faults)
    return tuple(rules)


def _connector_policy(before: ConnectorPolicy, change: _ConnectorChange) -> ConnectorPolicy:
    given: dict[str, Any] = {name: getattr(change, name) for name in change.model_fields_set}
    seconds = {name: value.total_seconds() for name, value in given.items() if isinstance(value, timedelta)}
    never = {"ttl": NEVER} if "ttl" in given and given["ttl"] is None else {}
    return replace(before, **{**given, **seconds, **never})


def _touched(before: Policy, after: Policy, read: _Body) -> frozenset[str] | None:
    if read.without is not None:
        return frozenset(read.without)
    if _told(before.rules) != _told(after.rules):
        return None
    return frozenset(name for name in after.connectors if before.of(name) != after.of(name))


def _told(rules: tuple[Rule, ...]) -> list[bytes]:
    return sorted(canonical_json(rule.identity) for rule in rules)


def _named(read: _Body) -> Iterator[tuple[str, str]]:
    for number, name in enumerate(read.without or ()):
        yield pointer("without", str(number)), name
    for name in read.policy.connectors if read.policy else ():
        yield pointer("policy", "connectors", name), name


def _faults(error: ValidationError) -> Iterator[tuple[str, str]]:
    for fault in error.errors(include_url=False, include_input=False):
        path = tuple(fault["loc"])
        yield pointer(*map(str, path)), sentence(fault["type"], path, dict(fault.get("ctx", {})), root=_Body)
