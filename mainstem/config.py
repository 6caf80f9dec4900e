"""What can be configured, and what holds where nothing is: one frozen tree, read once at the edge and passed down.

`mainstem.configuration.loading.load` makes it; a connector has its own file, `mainstem.configuration.connector`.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, ValidationInfo, field_validator

from mainstem.access.scopes import READ
from mainstem.access.scopes import check as known_scope
from mainstem.configuration.connector import ConnectorConfig
from mainstem.configuration.kafka import KafkaConfig
from mainstem.configuration.rules import MergeConfig
from mainstem.configuration.secrets import Secret
from mainstem.configuration.section import Section
from mainstem.configuration.values import (
    Count,
    Duration,
    Integer,
    TenantId,
    Text,
    TopicPrefix,
    WebAddress,
    WholeSeconds,
    is_loopback,
    not_empty,
)
from schemas.refs import DEFAULT_TENANT

DEFAULT_SINKS: dict[str, dict[str, Any]] = {
    "postgres": {},
    "incidents": {"kinds": ["component", "api", "system", "resource"]},
    "backstage": {"enabled": False},
}


_LOCATION_SECRET = re.compile(r"[A-Za-z0-9_-]{32,200}")
_MAX_SHARDS = 1_024


def _not_too_many_shards(value: int) -> int:
    if value > _MAX_SHARDS:
        raise ValueError(f"must be at most {_MAX_SHARDS}")
    return value


class PoolConfig(Section):
    min_size: Integer = Field(default=1, ge=0)
    max_size: Count = Field(default=10, validate_default=True)

    @field_validator("max_size")
    @classmethod
    def _not_below_the_least(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min_size", 0):
            raise ValueError("must be at least min_size")
        return value


class PostgresConfig(Section):
    dsn: Secret | None = None
    pool: PoolConfig = Field(default_factory=PoolConfig)
    keep_vanished: Duration = timedelta(days=30)


class TopicsConfig(Section):
    prefix: TopicPrefix = "mainstem"
    partitions: Count | None = None
    replication_factor: Count | None = None

    def partition_count(self, *, embedded: bool) -> int:
        """Return how many partitions the co-partitioned topics have: as configured, else 12, or 4 when embedded."""
        return self.partitions or (4 if embedded else 12)

    def replica_count(self, *, embedded: bool) -> int:
        """Return how many copies a partition has: as configured, else 3. The one embedded broker holds 1, always."""
        return 1 if embedded else self.replication_factor or 3


class TenantConfig(Section):
    id: TenantId


def _default_tenants() -> tuple[TenantConfig, ...]:
    return (TenantConfig(id=DEFAULT_TENANT),)


class ProcessorConfig(Section):
    workers: Count = 1


class SinkConfig(Section, extra="allow"):
    """One sink: whether it runs, and options that the sink itself checks."""

    enabled: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """What was written for the sink beside `enabled`."""
        return dict(self.model_extra or {})

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Leave the options out: any of them may be a secret."""
        return [("enabled", self.enabled)]


class LocationRefreshConfig(Section):
    """The Backstage that is told when one of the files has changed."""

    base_url: WebAddress
    token: Secret | None = None
    interval: WholeSeconds = timedelta(seconds=5)


class LocationsConfig(Section):
    """Files of the catalogue for a Backstage without our module."""

    secret: Secret
    shards: Annotated[Count, AfterValidator(_not_too_many_shards)] = 16
    kinds: tuple[Text, ...] | None = None
    refresh: LocationRefreshConfig | None = None

    @field_validator("secret")
    @classmethod
    def _unguessable(cls, value: SecretStr) -> SecretStr:
        if not _LOCATION_SECRET.fullmatch(value.get_secret_value()):
            raise ValueError("must be 32 to 200 of A-Z, a-z, 0-9, '-' and '_', as `openssl rand -hex 32` makes them")
        return value


def _address(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s@?#/]+(?:/[^\s@?#]*)?", value):
        raise ValueError("must be an address as https://backstage.acme.com/api/auth/.well-known/jwks.json")
    return value


class JwtConfig(Section):
    """Whose signed tokens the API takes beside its own."""

    jwks_url: Annotated[Text, AfterValidator(_address)]
    issuer: Text
    audience: Text
    scopes: tuple[Annotated[Text, AfterValidator(known_scope)], ...] = (READ,)
    tenant_claim: Text | None = None


class ApiConfig(Section):
    # What makes callers known stands before the host: the host is judged by it.
    token: Secret | None = None
    jwt: JwtConfig | None = None
    auth: Literal["none", "tokens"] | None = None
    host: Text = "127.0.0.1"
    port: Integer = Field(default=8080, ge=0, le=65535)  # 0: any that is free
    locations: LocationsConfig | None = None

    @field_validator("host")
    @classmethod
    def _loopback_without_tokens(cls, value: str, info: ValidationInfo) -> str:
        if is_loopback(value) or not {"token", "jwt", "auth"} <= info.data.keys():
            return value
        if info.data["auth"] == "none":
            raise ValueError(
                "api.auth: none is for 127.0.0.1, ::1 or localhost: anyone who reaches this machine would be let in"
            )
        if all(info.data[name] is None for name in ("auth", "token", "jwt")):
            raise ValueError(
                "without tokens the API would answer anyone who reaches this machine; "
                "use 127.0.0.1, ::1 or localhost, or set api.auth: tokens"
            )
        return value

    @field_validator("auth")
    @classmethod
    def _none_beside_no_token(cls, value: str | None, info: ValidationInfo) -> str | None:
        beside = next((name for name in ("token", "jwt") if info.data.get(name) is not None), None)
        if value == "none" and beside:
            raise ValueError(f"none contradicts api.{beside}: remove one of the two")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a configuration came from. *places* names, per connector, the file and key that hold it.

    *texts*: what each file held when it was read, by its path from the main one. Secrets may be in it.
    """

    file: str = "mainstem.yaml"
    base_dir: Path = Path()
    warnings: tuple[str, ...] = ()
    places: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def place(self, connector_id: str, key: str) -> str:
        """Return the file and the whole path in it that hold *key* of a connector."""
        connector = self.places.get(connector_id, connector_id)
        return f"{connector}.{key}" if connector.endswith("]") else f"{connector}: {key}"


class Config(Section):
    kafka: KafkaConfig = Field(default_factory=KafkaConfig)
    postgres: PostgresConfig = Field(default_factory=PostgresConfig)
    topics: TopicsConfig = Field(default_factory=TopicsConfig)
    tenants: Annotated[tuple[TenantConfig, ...], AfterValidator(not_empty)] = Field(default_factory=_default_tenants)
    connectors: tuple[ConnectorConfig, ...] = ()
    merge: MergeConfig = Field(default_factory=MergeConfig)
    processor: ProcessorConfig = Field(default_factory=ProcessorConfig)
    sinks: dict[str, SinkConfig] = Field(default_factory=dict, validate_default=True)
    api: ApiConfig = Field(default_factory=ApiConfig)
    embedded: Literal["auto", "docker", "off"] = "auto"
    cache_dir: Path | None = None

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @property
    def origin(self) -> Origin:
        """The files that this was read from."""
        return self._origin

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the person who started the program; nothing in them stops it."""
        return self._origin.warnings

    def connector(self, connector_id: str) -> ConnectorConfig | None:
        """Return the connector of that id, None when it is not configured (which is no error)."""
        return next((each for each in self.connectors if each.connector_id == connector_id), None)

    @field_validator("sinks", mode="before")
    @classmethod
    def _over_the_defaults(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = {name: {} if options is None else options for name, options in value.items()}
        return DEFAULT_SINKS | {
            name: DEFAULT_SINKS.get(name, {}) | options if isinstance(options, dict) else options
            for name, options in given.items()
        }
