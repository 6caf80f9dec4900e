"""One connector: what it reads, how much its word counts, and for how long."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from mainstem.configuration.section import Section
from mainstem.configuration.values import (
    ConnectorId,
    Cron,
    Duration,
    Integer,
    Kind,
    Long,
    Percent,
    TenantId,
    Text,
    TimeZone,
    WholeSeconds,
    between,
    not_empty,
    snake_case_keys,
)

_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
_burst_length = between(_SECOND, 300 * _SECOND, "must be from 1s to 300s")
_burst_interval = between(5 * _SECOND, 300 * _SECOND, "must be from 5s to 300s")
_jitter = between(0 * _SECOND, 1440 * _MINUTE, "must be at most 24h")
_rest_length = between(_MINUTE, 1440 * _MINUTE, "must be from 1m to 24h; a number alone counts seconds")


class DeletionGuardConfig(Section):
    """More deletes in one run than either limit are held until somebody approves them."""

    max_count: Integer = Field(default=20, ge=0)
    max_percent: Percent = 10


class SyncConfig(Section):
    """When runs begin. Without *schedule* a run follows upon another after `incremental.rest_length`."""

    schedule: Cron | None = None
    full_sync_schedule: Cron | None = None
    timezone: TimeZone = "UTC"
    jitter: Duration = timedelta()

    @field_validator("jitter")
    @classmethod
    def _jitter_in_range(cls, value: timedelta) -> timedelta:
        return _jitter(value)


class RetryConfig(Section):
    """How often one request to the source is tried, how long is waited in between, and after which errors."""

    attempts: Integer = Field(default=3, ge=1, le=10)
    backoff: Annotated[tuple[Duration, ...], AfterValidator(not_empty)] = (_SECOND, 5 * _SECOND, 30 * _SECOND)
    on: tuple[Literal["timeout", "connection", "rate_limit", "server_error"], ...] = (
        "timeout",
        "connection",
        "rate_limit",
        "server_error",
    )


class IncrementalConfig(Section):
    burst_length: Duration = timedelta(seconds=10)
    burst_interval: Duration = Field(default=timedelta(seconds=30), validate_default=True)
    rest_length: Duration = timedelta(minutes=30)
    chunk_size: Integer = Field(default=50, ge=1, le=1000)
    backoff: Annotated[tuple[Duration, ...], AfterValidator(not_empty)] = (
        30 * _SECOND,
        _MINUTE,
        5 * _MINUTE,
        30 * _MINUTE,
    )

    @field_validator("burst_length")
    @classmethod
    def _burst_in_range(cls, value: timedelta) -> timedelta:
        return _burst_length(value)

    @field_validator("burst_interval")
    @classmethod
    def _interval_above_the_burst(cls, value: timedelta, info: ValidationInfo) -> timedelta:
        _burst_interval(value)
        if value <= info.data.get("burst_length", timedelta()):
            raise ValueError("must be longer than burst_length, or bursts would overlap")
        return value

    @field_validator("rest_length")
    @classmethod
    def _rest_in_range(cls, value: timedelta) -> timedelta:
        return _rest_length(value)


class DependencyConfig(Section):
    upstream: Text | None = None
    downstream: Text | None = None


class RuleConfig(Section):
    """*rule* is an expression that must be true of each entity; *message* is what is told where it is not."""

    rule: Text
    message: Text


class ConnectorConfig(Section):
    connector_id: ConnectorId
    type: Text
    enabled: bool = True
    tenant: TenantId = "default"
    priority: Long = 0
    complete: bool | None = None
    ttl: WholeSeconds | None = None
    grace: Duration = timedelta()
    max_stale: Duration = timedelta(hours=24)
    asserts_existence: bool = True
    deletion_guard: DeletionGuardConfig = Field(default_factory=DeletionGuardConfig)
    sync: SyncConfig = Field(default_factory=SyncConfig)
    incremental: IncrementalConfig = Field(default_factory=IncrementalConfig)
    retry: RetryConfig = Field(default_factory=RetryConfig)
    connection: dict[str, Any] = Field(default_factory=dict, repr=False)  # anything in it may be a secret
    entity_types: Annotated[tuple[Kind, ...], AfterValidator(not_empty)] | None = None  # None: every kind
    field_mapping: Annotated[dict[str, Text], AfterValidator(snake_case_keys)] = Field(default_factory=dict)
    dependency_extraction: DependencyConfig = Field(default_factory=DependencyConfig)
    filters: tuple[Text, ...] = ()
    validation: tuple[RuleConfig, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether each change must be a whole entity by Backstage's rules: as configured, else only for type `git`."""
        return self.type == "git" if self.complete is None else self.complete
