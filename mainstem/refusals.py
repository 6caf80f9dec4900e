"""Why Kafka does not answer, or does not let us in, as a sentence."""

import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaError

from schemas.errors import UnavailableError

_PATIENCE_SECONDS: Final = 3.0
_UNTRUSTED: Final = KafkaError._SSL  # noqa: SLF001 - librdkafka's own errors are named so
_UNKNOWN: Final = KafkaError._AUTHENTICATION  # noqa: SLF001
_SILENT: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
_DENIED: Final = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)


def is_final(faults: Sequence[KafkaError]) -> bool:
    """Whether waiting mends nothing: one side does not trust the other."""
    return any(fault.code() in (_UNTRUSTED, _UNKNOWN) for fault in faults)


def is_denied(error: KafkaError) -> bool:
    """Whether Kafka knows us and does not allow what was asked."""
    return error.code() in _DENIED


def unavailable(
    error: KafkaError, faults: Sequence[KafkaError], client: Mapping[str, str | int | bool]
) -> UnavailableError:
    """Return what to raise when a question came back with *error*, after the client met *faults*."""
    servers = client["bootstrap.servers"]
    if is_denied(error):
        return UnavailableError(
            f"Kafka at {servers} does not allow it ({error.str()}): grant what `mainstem topics acls` prints"
        )
    told = [fault for fault in (error, *faults) if fault.code() != _SILENT]
    for fault in reversed(told):
        if fault.code() == _UNKNOWN:
            return UnavailableError(
                f"Kafka at {servers} refuses the credentials ({_reason(fault)}): correct kafka.sasl"
            )
        if fault.code() == _UNTRUSTED:
            return UnavailableError(
                f"Kafka at {servers} is not trusted ({_untrusted(client) or _reason(fault)}): correct"
                " kafka.ssl.ca_location, or the broker's certificate"
            )
    cause = (told[1:] or list(faults) or told)[-1]
    return UnavailableError(
        f"no Kafka answers at {servers} ({cause.str()}): start it, or correct kafka.bootstrap_servers"
    )


def _reason(fault: KafkaError) -> str:
    """librdkafka puts the address in front and the time behind."""
    return str(fault.str()).partition(": ")[2].partition(" (after ")[0]


def _untrusted(client: Mapping[str, str | int | bool]) -> str | None:
    """Return what is wrong with the broker's certificate: librdkafka says the same of one that is too old, of another
    host, or signed by somebody unknown.
    """
    server = str(client["bootstrap.servers"]).partition(",")[0].rpartition("://")[2]
    host, _, port = server.rpartition(":")
    location = client.get("ssl.ca.location")
    context = ssl.create_default_context(cafile=str(location) if location else None)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_SECONDS) as connection:
            context.wrap_socket(connection, server_hostname=host.strip("[]")).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".")
    except (OSError, ValueError):
        return None
    return None
