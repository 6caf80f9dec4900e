"""The shapes of answers and bodies, for the OpenAPI document. What `fields` can narrow requires nothing."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict  # before Python 3.12, pydantic reads no other

from sources.steering import State

Time = Annotated[str, Field(description="RFC 3339 with milliseconds and Z.", json_schema_extra={"format": "date-time"})]


class Entity(TypedDict, total=False):
    entity_ref: str
    entity: dict[str, Any]
    service: dict[str, Any]
    provenance: dict[str, Any]
    version: int
    content_hash: str
    merged_at: Time
    stale: list[str]


class EntityList(TypedDict):
    items: list[Entity]
    next_cursor: str | None


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
