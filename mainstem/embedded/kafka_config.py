"""What the embedded broker is told: one node, small, quick to start, nothing but loopback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.topics import MAX_MESSAGE_BYTES

_REQUEST_MAX_BYTES = 4 * MAX_MESSAGE_BYTES

# Kafka does not wait for the disk on a produce: an acknowledged record is in the system's page cache
# and survives the death of the process, not that of the machine.
_FIXED = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": 1,
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "group.initial.rebalance.delay.ms": 0,
    # A broker that starts is taken at one of its first heartbeats. How long it may be silent is left as Kafka has it:
    # one that a busy host starves for seconds would lose its partitions, and the processor its lease.
    "broker.heartbeat.interval.ms": 750,
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
    "socket.request.max.bytes": _REQUEST_MAX_BYTES,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 2,
    "log.segment.bytes": 256 * 1024 * 1024,
    "log.index.size.max.bytes": 1024 * 1024,
    "log.cleaner.threads": 1,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    "log.cleaner.io.buffer.size": 256 * 1024,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """Two further listeners where ACLs count: SASL_SSL, and SSL for clients with a certificate.

    Nobody is asked at the open listener: whoever reaches it is the administrator. Files are PEM.
    """

    certificate: Path
    """The broker's key (PKCS #8) and certificates."""
    trusted: Path
    """Who signs the certificates of clients."""
    users: Mapping[str, str]
    """Passwords by user, for the mechanism PLAIN. Users of SCRAM are made by the administrator."""

    def properties(self) -> dict[str, object]:
        users = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        modules = "org.apache.kafka.common.security"
        scram = f"{modules}.scram.ScramLoginModule required;"
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": _escaped(self.certificate),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": _escaped(self.trusted),
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{modules}.plain.PlainLoginModule required {users};",
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
        }


def server_properties(*, log_dir: Path, ports: Sequence[int], secured: Secured | None) -> str:
    """*ports*: broker, controller; with *secured*, SASL_SSL and SSL as well."""
    names = ("PLAINTEXT", "CONTROLLER", "SASL_SSL", "SSL")
    listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in zip(names, ports, strict=False))
    settings = {
        **_FIXED,
        **(secured.properties() if secured is not None else {}),
        "log.dirs": _escaped(log_dir),
        "listeners": listeners,
        "advertised.listeners": listeners,
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{ports[1]}",
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def container_environment(*, port: int) -> dict[str, str]:
    """Return what the image `apache/kafka` is told, for a broker that is published as 127.0.0.1:*port*."""
    settings = {
        **_FIXED,
        "log.dirs": "/var/lib/kafka/data",
        "listeners": "INSIDE://127.0.0.1:19092,PLAINTEXT://:9092,CONTROLLER://127.0.0.1:9093",
        "advertised.listeners": f"INSIDE://127.0.0.1:19092,PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "INSIDE:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INSIDE",
        "controller.quorum.voters": "1@127.0.0.1:9093",
    }
    return {f"KAFKA_{key.upper().replace('.', '_')}": str(value) for key, value in settings.items()}


def log4j_properties(log: Path) -> str:
    """Warnings and errors into *log*, 12 MB at most."""
    return f"""\
status = off
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {_escaped(log)}
appender.file.filePattern = {_escaped(log)}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %m (%c{{1}})%n%throwable{{short.message}}%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 4MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
"""


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\")
