"""`up`: everything on this machine. Embeds what is not configured, prepares it, and supervises every role."""

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg
import structlog

from mainstem.config import Config
from mainstem.configuration.keeping import forget, keep
from mainstem.embedded import DataDirLock, EmbeddedKafka, EmbeddedPostgres, EmbeddedService, default_cache_dir
from mainstem.embedded.ports import free_ports
from mainstem.embedded.service import ProgressHook
from mainstem.installation import Installation, Running, running_file, write_json
from mainstem.role_process import RoleSpec
from mainstem.roles.connectors import runnable
from mainstem.roles.role import listen, stop_thread_on_signals
from mainstem.supervisor import Supervisor
from schemas.database import where
from schemas.errors import ConfigError, MainstemError, UnavailableError

log = structlog.get_logger(__name__)

_SOCKET_SECONDS: Final = 3


def run(
    installation: Installation,
    *,
    ready_file: Path | None,
    progress: ProgressHook | None = None,
    log_dir: Path | None = None,
    stop: threading.Event | None = None,
    on_ready: "threading.Event | None" = None,
) -> None:
    """Run until a signal (or *stop*). *ready_file* gets `{"kafka", "postgres", "api", "pid"}` once all is ready.

    The file is there only while we run, and so is the roles' copy of the configuration.
    """
    installation.check_plugins()
    runnable(installation)
    stop = stop or stop_thread_on_signals()
    with ExitStack() as stack:
        # First of all: port and ready-file may be those of an `up` that runs in this directory.
        stack.enter_context(DataDirLock(installation.data_dir))
        if ready_file is not None:
            _clear(ready_file)
        _require_free(installation)
        found, services = stack.enter_context(embedded(installation, progress))
        if stop.is_set():
            return
        prepare(found)
        # What a killed predecessor's roles wrote about themselves is about nobody.
        shutil.rmtree(found.data_dir / "run", ignore_errors=True)
        folder = found.data_dir / "config"
        stack.callback(forget, folder)
        kept = keep(found.config.origin, folder)
        began_with = _began_with(found.config, kept)
        state = running_file(found.data_dir)
        write_json(state, _state(found, api=None) | began_with)
        supervisor = Supervisor(
            _roles(found, kept),
            services,
            run_dir=found.data_dir / "run",
            is_healthy=lambda: _is_healthy(found),
            log_dir=log_dir,
            # A port that "any free one" means is chosen once: it is the API's over restarts as well.
            environment={"MAINSTEM_API__PORT": str(found.config.api.port or free_ports(1)[0])},
        )

        def ready() -> None:
            facts = _state(found, api=supervisor.role_address("api"))
            write_json(state, facts | began_with)
            if ready_file is not None:
                write_json(ready_file, facts)
            log.info("up.ready", kafka=found.bootstrap_servers, postgres=where(found.dsn), api=facts["api"])
            if on_ready is not None:
                on_ready.set()

        try:
            supervisor.run(stop, on_ready=ready)
        finally:
            for each in (state, ready_file):
                if each is not None:
                    each.unlink(missing_ok=True)


@contextmanager
def embedded(
    installation: Installation, progress: ProgressHook | None = None
) -> Iterator[tuple[Installation, dict[str, EmbeddedService]]]:
    """Start Kafka and Postgres wherever none is configured; stop them at the end.

    Yields the installation, knowing where they are, and the services.
    """
    config = installation.config
    services = _services(installation, progress)
    try:
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda service: service.start(), services.values()))
        running = Running(
            pid=os.getpid(),
            kafka=services["kafka"].address if "kafka" in services else config.kafka.bootstrap_servers or "",
            postgres=services["postgres"].address if "postgres" in services else installation.dsn,
        )
        yield replace(installation, running=running), services
    finally:
        for service in reversed(services.values()):
            service.stop()


def _services(installation: Installation, progress: ProgressHook | None) -> dict[str, EmbeddedService]:
    config, data_dir = installation.config, installation.data_dir
    keys = {"kafka": "kafka.bootstrap_servers", "postgres": "postgres.dsn"}
    given = {"kafka": config.kafka.bootstrap_servers, "postgres": config.postgres.dsn}
    wanted = [name for name in keys if given[name] is None]
    if wanted and config.embedded == "off":
        raise ConfigError(f"MAINSTEM_EMBEDDED=off: set {' and '.join(keys[name] for name in wanted)}")
    if wanted and config.embedded == "docker":
        from mainstem.embedded import containers  # noqa: PLC0415 - an extra

        containers.require_engine()
        contained = {"kafka": containers.DockerKafka, "postgres": containers.DockerPostgres}
        return {name: contained[name](data_dir) for name in wanted}
    services: dict[str, EmbeddedService] = {}
    if "kafka" in wanted:
        cache_dir = config.cache_dir or default_cache_dir()
        services["kafka"] = EmbeddedKafka(data_dir, cache_dir=cache_dir, progress=progress)
    if "postgres" in wanted:
        services["postgres"] = EmbeddedPostgres(data_dir)
    return services


def prepare(installation: Installation) -> None:
    """Make topics and tables. Raises UnavailableError or TopicMismatchError when they cannot be used."""
    from schemas.database import migrate  # noqa: PLC0415 - Alembic costs a second

    definitions = installation.topics.definitions(installation.connector_ids)
    created = installation.cluster.create(definitions)
    if created:
        log.info("up.topics_created", topics=created)
    installation.cluster.require(definitions)
    migrate(installation.dsn)


def _roles(installation: Installation, config_file: Path) -> list[RoleSpec]:
    base_dir = installation.config.origin.base_dir
    common = ["--data-dir", str(installation.data_dir), "--config", str(config_file), "--base-dir", str(base_dir)]
    workers = installation.config.processor.workers
    sinks = [name for name, sink in installation.config.sinks.items() if sink.enabled]
    return [
        *(_role(f"processor-{n}", "processor", "run", "--instance", str(n), common=common) for n in range(workers)),
        *(_role(f"sink-{name}", "sinks", "run", name, common=common) for name in sinks),
        _role("api", "api", "run", common=common),
        _role("connectors", "connectors", "run", common=common),
    ]


def _role(name: str, *arguments: str, common: list[str]) -> RoleSpec:
    return RoleSpec(name=name, arguments=(*arguments, *common))


def _state(installation: Installation, *, api: str | None) -> dict[str, object]:
    return {
        "kafka": installation.bootstrap_servers,
        "postgres": installation.dsn,
        "api": api,
        "pid": os.getpid(),
    }


def _began_with(config: Config, kept: Path) -> dict[str, object]:
    """Return what commands beside us have to know of the configuration, whatever is edited meanwhile."""
    return {
        "config": str(kept.absolute()),
        "base_dir": str(config.origin.base_dir.absolute()),
        "connectors": [each.connector_id for each in config.connectors if each.enabled],
    }


def _is_healthy(installation: Installation) -> bool:
    try:
        installation.cluster.cluster_id()
        psycopg.connect(installation.dsn, connect_timeout=_SOCKET_SECONDS).close()
        registry = installation.schema_registry
    except (MainstemError, psycopg.Error):
        return False
    return registry is None or registry.answers()


def _require_free(installation: Installation) -> None:
    """Refuse at once what the API would refuse ten times."""
    api = installation.config.api
    if api.port:
        listen(api.host, api.port).close()


def _clear(ready_file: Path) -> None:
    try:
        ready_file.unlink(missing_ok=True)
        ready_file.touch()
        ready_file.unlink()
    except OSError as error:
        raise UnavailableError(f"--ready-file {ready_file}: {error.strerror}") from None
