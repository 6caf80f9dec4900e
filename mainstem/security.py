"""What the configuration says about reaching Kafka safely, as each kind of client wants to hear it."""

import ssl
from typing import TYPE_CHECKING

from mainstem.configuration.kafka import KafkaConfig, SslConfig
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from streams.access import Access


def librdkafka_settings(kafka: KafkaConfig) -> dict[str, str]:
    """Return what every client but the processor's is opened with."""
    settings: dict[str, str] = {"security.protocol": kafka.security_protocol}
    if kafka.sasl is not None:
        settings |= {
            "sasl.mechanism": kafka.sasl.mechanism,
            "sasl.username": kafka.sasl.username,
            "sasl.password": kafka.sasl.password.get_secret_value(),
        }
    if kafka.ssl is not None:
        found = {
            "ssl.ca.location": kafka.ssl.ca_location,
            "ssl.certificate.location": kafka.ssl.certificate_location,
            "ssl.key.location": kafka.ssl.key_location,
            "ssl.key.password": kafka.ssl.key_password and kafka.ssl.key_password.get_secret_value(),
        }
        settings |= {name: str(value) for name, value in found.items() if value}
    return settings


def access(kafka: KafkaConfig) -> "Access":
    """Return what the processor's clients are opened with. Raises ConfigError for files that hold no certificates."""
    from streams.access import Access, Login  # noqa: PLC0415 - Faust costs a second

    login = None
    if kafka.sasl is not None:
        password = kafka.sasl.password.get_secret_value()
        login = Login(username=kafka.sasl.username, password=password, mechanism=kafka.sasl.mechanism)
    context = _context(kafka.ssl or SslConfig()) if kafka.is_encrypted else None
    return Access(context=context, login=login)


def _context(config: SslConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca_location)
    except (OSError, ssl.SSLError):
        raise ConfigError(
            f"kafka.ssl.ca_location: {config.ca_location} holds no certificates in PEM that can be read"
        ) from None
    if config.certificate_location is not None:
        password = config.key_password.get_secret_value() if config.key_password else ""
        try:
            # Never without a password: the library would ask for it on the terminal.
            context.load_cert_chain(config.certificate_location, config.key_location, password)
        except (OSError, ssl.SSLError):
            raise ConfigError(
                f"kafka.ssl: {config.certificate_location} and {config.key_location} are no certificate and its key in"
                " PEM, or kafka.ssl.key_password does not open the key"
            ) from None
    return context
