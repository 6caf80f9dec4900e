"""How to reach Kafka. Without `bootstrap_servers`, `demo` and `up` bring their own."""

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from mainstem.configuration.secrets import Secret
from mainstem.configuration.section import Section
from mainstem.configuration.values import File, Servers, Text

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class SaslConfig(Section):
    mechanism: Mechanism = "PLAIN"
    username: Text
    password: Secret


class SslConfig(Section):
    ca_location: File | None = None
    certificate_location: File | None = None
    key_location: File | None = Field(default=None, validate_default=True)
    key_password: Secret | None = None

    @field_validator("key_location")
    @classmethod
    def _with_its_certificate(cls, value: str | None, info: ValidationInfo) -> str | None:
        if (value is None) != (info.data.get("certificate_location", value) is None):
            raise ValueError("certificate_location and key_location go together; set both, or neither")
        return value


class SchemaRegistryConfig(Section):
    url: Text = Field(repr=False)  # it may carry a password
    username: Text | None = None
    password: Secret | None = None


class KafkaConfig(Section):
    bootstrap_servers: Servers | None = None
    security_protocol: Protocol = "PLAINTEXT"
    sasl: SaslConfig | None = Field(default=None, validate_default=True)
    ssl: SslConfig | None = None
    schema_registry: SchemaRegistryConfig | None = None

    @property
    def is_encrypted(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @field_validator("security_protocol", "sasl", "ssl")
    @classmethod
    def _of_a_configured_kafka(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("bootstrap_servers", "refused already") is None:
            raise ValueError("is of no use without kafka.bootstrap_servers; set that, or remove this key")
        return value

    @field_validator("sasl")
    @classmethod
    def _as_the_protocol_says(cls, value: SaslConfig | None, info: ValidationInfo) -> SaslConfig | None:
        protocol = info.data.get("security_protocol")
        if protocol is not None and protocol.startswith("SASL_") != (value is not None):
            wanted = (
                "is missing: security_protocol asks for it" if value is None else "needs security_protocol SASL_SSL"
            )
            raise ValueError(wanted)
        return value

    @field_validator("ssl")
    @classmethod
    def _of_an_encrypted_connection(cls, value: SslConfig | None, info: ValidationInfo) -> SslConfig | None:
        if value is not None and not info.data.get("security_protocol", "SSL").endswith("SSL"):
            raise ValueError("is of no use without encryption; set security_protocol to SSL or SASL_SSL")
        return value
