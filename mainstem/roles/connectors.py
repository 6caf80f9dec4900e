"""The role `connectors`: runs every connector whose type runs here."""

import asyncio
import gc
import os
import socket
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import orjson
import structlog
from psycopg_pool import AsyncConnectionPool

from mainstem.configuration.connector import ConnectorConfig
from mainstem.configuration.secrets import SecretRef
from mainstem.connector_settings import mapping_settings, retry_of
from mainstem.installation import Installation
from mainstem.monitor import Readiness
from mainstem.roles.role import RoleOptions, present, stop_on_signals
from schemas.database import check
from schemas.errors import ConfigError, UnavailableError
from schemas.metrics import ConnectorMetrics
from sources.base import Source, SourceSettings
from sources.connector import Connector, Place
from sources.guard import Limits
from sources.mapping import Mapper
from sources.registry import installed, source_class
from sources.runner import Runner
from sources.schedule import Schedule
from sources.sieve import Sieve

log = structlog.get_logger(__name__)

PATIENCE_SECONDS: Final = 300.0
"""For how long a connector may get nowhere, be it for its source, Kafka or Postgres, before the role is not ready."""
_POOL: Final = 10
_CONNECTION: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_THREADS: Final = 3
_OBJECTS: Final = 10_000
"""So many new ones, and Python looks for circles: a page has as many, and none of them."""


def runnable(installation: Installation, ids: Collection[str] = (), *, keeps: bool = True) -> list[Connector]:
    """Return the enabled connectors that run here, or those of *ids*. Raises ConfigError for an id that is none.

    *keeps*: their sources may use what they kept since the last run; not while another process may run them.
    """
    configured = {each.connector_id: each for each in installation.config.connectors}
    if unknown := sorted(set(ids) - configured.keys()):
        known = ", ".join(sorted(configured)) or "none"
        raise ConfigError(f"connector {unknown[0]} is not configured; configured are: {known}")
    found = {name: each for name, each in configured.items() if each.enabled and source_class(each.type).runs_here}
    if idle := sorted(set(ids) - found.keys()):
        raise ConfigError(f"connector {idle[0]} does not run here: it is not enabled, or others publish its changes")
    return [connector_of(each, installation, keeps=keeps) for name, each in found.items() if name in ids or not ids]


def check_sources(installation: Installation) -> None:
    """Raise ConfigError with the settings of every enabled connector that its type cannot use."""
    faults = []
    for each in installation.config.connectors:
        if each.enabled and each.type in installed():
            try:
                _source(each, installation)
            except ConfigError as error:
                faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))


def run(installation: Installation, ids: Collection[str], options: RoleOptions) -> None:
    """Run the connectors until a signal."""
    connectors = runnable(installation, ids)
    installation.cluster.require(installation.topics.changes_definition(each.id) for each in connectors)
    if connectors and (reason := check(installation.dsn)):
        raise UnavailableError(reason)
    asyncio.run(_run(connectors, installation, options))


async def _run(connectors: list[Connector], installation: Installation, options: RoleOptions) -> None:
    loop = asyncio.get_running_loop()
    stop = stop_on_signals(loop)
    # A page is tens of thousands of objects: what was imported lives for ever, and need not be looked at each time.
    gc.freeze()
    gc.set_threshold(_OBJECTS)
    if not connectors:
        log.warning("connectors.nothing_to_run")
        present(options, lambda: readiness([]))
        await stop.wait()
        return
    # A source that holds its thread must not keep another connector from publishing: of each connector one thread
    # reads, one publishes, and one may be left behind by a run that was ended.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS * len(connectors)))
    # Two for each connector: one that it works with, one that renews its lease meanwhile.
    pool = AsyncConnectionPool(
        installation.dsn,
        min_size=1,
        max_size=min(_POOL, 2 * len(connectors)),
        timeout=_POOL,
        kwargs=_CONNECTION,
        open=False,
    )
    async with pool:
        place = place_of(installation, pool)
        runners = [Runner(each, place) for each in connectors]
        present(options, lambda: readiness(runners))
        async with asyncio.TaskGroup() as tasks:
            for runner in runners:
                tasks.create_task(runner.run(stop))


def place_of(installation: Installation, pool: AsyncConnectionPool) -> Place:
    return Place(
        pool=pool,
        client=installation.client,
        cluster=installation.cluster.cluster_id(),
        topics=installation.topics,
        metrics=ConnectorMetrics(),
        holder=f"{socket.gethostname()}:{os.getpid()}",
    )


def readiness(runners: list[Runner]) -> Readiness:
    states = {runner.id: runner.state for runner in runners}
    failing = sorted(name for name, state in states.items() if state and state.consecutive_failures)
    waiting = sorted(name for name, state in states.items() if not state or not (state.last_success_at or state.paused))
    stuck = sorted(runner.id for runner in runners if runner.waited > PATIENCE_SECONDS)
    detail = {"failing": failing, "not_yet_complete": waiting, "stuck": stuck}
    return Readiness(is_ready=not any(detail.values()), detail=detail)


def connector_of(config: ConnectorConfig, installation: Installation, *, keeps: bool = True) -> Connector:
    """Raises ConfigError for settings that cannot be used. *keeps*: see :func:`runnable`."""
    renewal = None if config.ttl is None else config.ttl / 2
    sieve = Sieve(
        config.connector_id,
        Mapper(mapping_settings(config)),
        tenant=config.tenant,
        is_complete=config.is_complete,
        renewal=renewal,
    )
    return Connector(
        id=config.connector_id,
        source=_source(config, installation, keeps=keeps),
        sieve=sieve,
        schedule=_schedule(config),
        limits=Limits(max_count=config.deletion_guard.max_count, max_percent=config.deletion_guard.max_percent),
        burst_seconds=config.incremental.burst_length.total_seconds(),
        interval_seconds=config.incremental.burst_interval.total_seconds(),
        origin=f"{config.type} {orjson.dumps(config.connection, option=orjson.OPT_SORT_KEYS, default=str).decode()}",
    )


def _schedule(config: ConnectorConfig) -> Schedule:
    return Schedule(
        cron=config.sync.schedule,
        full_cron=config.sync.full_sync_schedule,
        timezone=config.sync.timezone,
        jitter=config.sync.jitter,
        rest=config.incremental.rest_length,
        renewal=None if config.ttl is None else config.ttl / 2,
        backoff=config.incremental.backoff,
    )


def _source(config: ConnectorConfig, installation: Installation, *, keeps: bool = True) -> Source:
    base_dir = installation.config.origin.base_dir

    def secret(ref: str) -> str:
        return SecretRef(secret_ref=ref).resolve(os.environ, base_dir).get_secret_value()

    source_type, incremental = source_class(config.type), config.incremental
    is_said = "chunk_size" in incremental.model_fields_set
    settings = SourceSettings(
        connector=config.connector_id,
        connection=config.connection,
        base_dir=base_dir,
        chunk_size=incremental.chunk_size if is_said else source_type.page_size,
        retry=retry_of(config),
        secret=secret,
        data_dir=installation.data_dir / "sources" / config.connector_id if keeps else None,
    )
    try:
        return source_type(settings)
    except ConfigError as error:
        raise ConfigError(_placed(str(error), config.connector_id, installation)) from None


def _placed(fault: str, connector: str, installation: Installation) -> str:
    """Say where the file has what *fault* is about: a source knows its connector and the key in it alone."""
    said = fault.removeprefix(f"connector {connector}: ")
    key, _, sentence = said.partition(" ")
    if not key.startswith("connection"):
        key, sentence = "connection:", said
    return f"{installation.config.origin.place(connector, key.removesuffix(':'))}: {sentence}"
