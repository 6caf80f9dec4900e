"""The shapes of answers and bodies, for the OpenAPI document. What `fields` can narrow requires nothing."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict  # before Python 3.12, pydantic reads no other

from sources.steering import State

Time = Annotated[str, Field(description="RFC 3339 with milliseconds and Z.", json_schema_extra={"format": "date-time"})]


Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class Freshness(TypedDict, total=False):
    """How fresh the word of *source* is. The age alone does not change the ETag."""

    state: Literal["fresh", "stale"]
    age_seconds: int | None
    source: str


class ConnectorFreshness(TypedDict, total=False):
    state: Literal["fresh", "stale"]
    age_seconds: int | None


class EntityFreshness(Freshness, total=False):
    """*by_connector*: of each connector that `provenance` names, and so of each field."""

    by_connector: dict[str, ConnectorFreshness]


class Entity(TypedDict, total=False):
    entity_ref: str
    entity: dict[str, Any]
    service: dict[str, Any]
    provenance: dict[str, Any]
    version: int
    content_hash: str
    merged_at: Time
    stale: list[str]
    freshness: EntityFreshness


class EntityList(TypedDict):
    items: list[Entity]
    next_cursor: str | None


class Owner(TypedDict, total=False):
    team_id: Id | None
    name: str
    slack_channel: str | None


class Duty(TypedDict, total=False):
    user_id: str | None
    name: str | None
    until: str | None


class OnCall(Duty, total=False):
    schedule_id: str | None
    source: str
    freshness: Freshness


class Neighbour(TypedDict, total=False):
    id: Id | None
    entity_ref: str
    name: str
    type: str
    is_critical: bool


class Neighbours(TypedDict, total=False):
    upstream: list[Neighbour]
    downstream: list[Neighbour]


class Runbook(TypedDict):
    title: str
    url: str
    type: str | None


class Service(TypedDict, total=False):
    id: Id
    entity_ref: str
    name: str
    description: str | None
    tier: str | None
    lifecycle: str | None
    tags: list[str]
    owner: Owner | None
    on_call: Duty | None
    dependencies: Neighbours
    runbooks: list[Runbook]
    source: str
    synced_at: Time | None
    freshness: Freshness


class ServiceList(TypedDict):
    items: list[Service]
    next_cursor: str | None


class Node(TypedDict):
    id: Id | None
    entity_ref: str
    name: str
    tier: str | None
    lifecycle: str | None
    distance: int


Edge = TypedDict("Edge", {"from": str, "to": str, "type": str, "is_critical": bool})
"""*from* depends on *to*; both are references."""


class Graph(TypedDict, total=False):
    root: str
    nodes: list[Node]
    edges: list[Edge]
    truncated: bool


class OwnedService(TypedDict):
    id: Id
    entity_ref: str
    name: str
    tier: str | None
    lifecycle: str | None


class Team(TypedDict, total=False):
    id: Id
    entity_ref: str
    name: str
    email: str | None
    slack_channel: str | None
    members: list[str]
    services: list[OwnedService]
    source: str
    synced_at: Time | None
    freshness: Freshness


class TeamList(TypedDict):
    items: list[Team]
    next_cursor: str | None


class Record(TypedDict, total=False):
    connector: str
    priority: float | None
    state: Literal["fresh", "stale", "dead", "deleted"]
    observed_at: Time | None
    expires_at: Time | None
    entity: dict[str, Any] | None
    service: dict[str, Any] | None


class RecordList(TypedDict):
    items: list[Record]
    next_cursor: None


class Change(TypedDict, total=False):
    """What one version changed. *before* and *after*: of each pointer of *changed* the value, where it had one."""

    entity_ref: str
    version: int
    change: Literal["created", "updated", "deleted"]
    changed: list[str]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    connectors: list[str]
    at: Time


class ChangeList(TypedDict):
    items: list[Change]
    next_cursor: str | None


class Loser(TypedDict):
    connector: str
    value: Any
    reason: str


class Leaf(TypedDict):
    value: Any
    winners: list[str]
    strategy: str
    losers: list[Loser]
    freshness: Freshness | None


class Explanation(TypedDict, total=False):
    fields: dict[str, Leaf]


RunError = TypedDict("RunError", {"class": str, "message": str | None}, total=False)
LastError = TypedDict("LastError", {"class": str, "message": str | None, "at": Time | None}, total=False)
"""Of the last failure; it stays until the next one."""


class Progress(TypedDict, total=False):
    pages: int
    entities: int


class Status(TypedDict, total=False):
    connector_id: str
    type: str
    enabled: bool
    state: State
    last_success_at: Time | None
    last_error: LastError | None
    entities: int
    consecutive_failures: int
    next_run_at: Time | None
    progress: Progress | None
    held_deletions: int


class StatusList(TypedDict):
    items: list[Status]
    next_cursor: str | None
    total: int


class Run(TypedDict, total=False):
    run: int
    mode: Literal["complete", "changes"]
    full: bool
    trigger: Literal["schedule", "rest", "retry", "manual"]
    started_at: Time
    ended_at: Time | None
    outcome: Literal["running", "complete", "partial", "failed", "reset"]
    pages: int
    entities: int
    published: int
    unchanged: int
    filtered: int
    refused: int
    left_out: int
    deleted: int
    held: int
    error: RunError | None


class Receipt(TypedDict):
    """Where Kafka keeps the change."""

    topic: str
    partition: int
    offset: int


class Receipts(TypedDict):
    receipts: list[Receipt]


class Override(TypedDict, total=False):
    """*beneath*: the value without it, null where there is none."""

    field: str
    value: Any
    reason: str
    author: str
    expires_at: Time | None
    state: Literal["active", "redundant", "drifted", "orphaned"]
    beneath: Any


class OverrideList(TypedDict):
    items: list[Override]
    next_cursor: str | None


class OverrideRequest(BaseModel):
    """*author*: the token's name where it is left out. *expires_at*: a time to come; null = until it is withdrawn."""

    model_config = ConfigDict(extra="forbid", strict=True)

    field: str
    value: Any
    reason: Annotated[str, Field(min_length=1, max_length=2_000)]
    author: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    expires_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None


class Validity(TypedDict):
    valid: bool
    entity_ref: str


class RunList(TypedDict):
    items: list[Run]
    next_cursor: str | None


class Hold(TypedDict, total=False):
    hold_id: str
    count: int
    percent: float
    refs: list[str]
    created_at: Time
    expires_at: Time


class HoldList(TypedDict):
    items: list[Hold]
    next_cursor: str | None


class Decision(TypedDict):
    hold_id: str
    state: Literal["approved", "rejected"]


EmissionState = Literal["applied", "removed", "refused", "conflict"]


class Emission(TypedDict, total=False):
    entity_ref: str
    shard: int
    version: int
    content_hash: str | None
    state: EmissionState
    reason: str | None
    confirmed_at: Time


class EmissionList(TypedDict):
    items: list[Emission]
    next_cursor: str | None


class LastSync(TypedDict, total=False):
    connector_id: str
    last_success_at: Time | None
    commit: str | None
    files: int | None


class SyncRequest(BaseModel):
    """*full*: what has not changed since it was published is published as well."""

    model_config = ConfigDict(extra="forbid")

    full: StrictBool = True


class _Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class Provider(_Camel):
    """A connector, in the words of Backstage's incremental providers."""

    name: str
    connector_id: str
    type: str
    enabled: bool
    state: State
    last_success_at: Time | None
    last_error: LastError | None
    entities: int
    consecutive_failures: int
    next_run_at: Time | None
    progress: Progress | None
    held_deletions: int


class ProviderList(_Camel):
    providers: list[Provider]


class ProviderHealth(_Camel):
    name: str
    healthy: bool
    state: State
    consecutive_failures: int


class Health(_Camel):
    healthy: bool
    providers: list[ProviderHealth]
