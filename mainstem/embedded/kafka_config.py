"""What the embedded broker is told: one node, small, quick to start, nothing but loopback."""

from pathlib import Path

from schemas.topics import MAX_MESSAGE_BYTES

_REQUEST_MAX_BYTES = 4 * MAX_MESSAGE_BYTES

# Kafka does not wait for the disk on a produce: an acknowledged record is in the system's page cache
# and survives the death of the process, not that of the machine.
_FIXED = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
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
    # After a kill -9 the controller waits for the dead broker's session to end before it takes the new one.
    "broker.session.timeout.ms": 3_000,
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


def server_properties(*, log_dir: Path, broker_port: int, controller_port: int) -> str:
    listeners = f"PLAINTEXT://127.0.0.1:{broker_port},CONTROLLER://127.0.0.1:{controller_port}"
    settings = {
        **_FIXED,
        "log.dirs": _escaped(log_dir),
        "listeners": listeners,
        "advertised.listeners": listeners,
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


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
