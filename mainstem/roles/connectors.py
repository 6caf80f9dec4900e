"""The role `connectors`: runs every connector whose type runs here."""

import asyncio
from collections.abc import Collection
from typing import Final

import structlog

from mainstem.configuration.connector import ConnectorConfig
from mainstem.installation import Installation
from mainstem.monitor import Readiness
from mainstem.roles.role import RoleOptions, present, stop_on_signals
from schemas.errors import ConfigError
from schemas.metrics import ConnectorMetrics
from sources.base import SourceSettings
from sources.registry import source_class
from sources.runner import Connector, Runner

log = structlog.get_logger(__name__)

PATIENCE_SECONDS: Final = 300.0
"""How long a source may take for one page before the role is no longer ready."""


def runnable(installation: Installation, ids: Collection[str] = ()) -> list[Connector]:
    """Return the enabled connectors that run here, or those of *ids*. Raises ConfigError for an id that is none."""
    configured = {each.connector_id: each for each in installation.config.connectors}
    if unknown := sorted(set(ids) - configured.keys()):
        known = ", ".join(sorted(configured)) or "none"
        raise ConfigError(f"connector {unknown[0]} is not configured; configured are: {known}")
    found = {name: each for name, each in configured.items() if each.enabled and source_class(each.type).runs_here}
    if idle := sorted(set(ids) - found.keys()):
        raise ConfigError(f"connector {idle[0]} does not run here: it is not enabled, or others publish its changes")
    return [_connector(each, installation) for name, each in found.items() if name in ids or not ids]


def run(installation: Installation, ids: Collection[str], options: RoleOptions) -> None:
    """Run the connectors until a signal."""
    connectors = runnable(installation, ids)
    installation.cluster.require(installation.topics.changes_definition(each.id) for each in connectors)
    metrics = ConnectorMetrics()
    runners = [Runner(each, installation.client, installation.topics, metrics) for each in connectors]
    asyncio.run(_run(runners, options))


async def _run(runners: list[Runner], options: RoleOptions) -> None:
    stop = stop_on_signals(asyncio.get_running_loop())
    present(options, lambda: readiness(runners))
    if not runners:
        log.warning("connectors.nothing_to_run")
    tasks = [asyncio.create_task(runner.run(stop)) for runner in runners]
    tasks.append(asyncio.create_task(_until(stop)))
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


def readiness(runners: list[Runner]) -> Readiness:
    failing = sorted(runner.id for runner in runners if runner.is_failing)
    waiting = sorted(runner.id for runner in runners if not runner.completed_runs)
    stuck = sorted(runner.id for runner in runners if runner.waited > PATIENCE_SECONDS)
    detail = {"failing": failing, "not_yet_complete": waiting, "stuck": stuck}
    return Readiness(is_ready=not any(detail.values()), detail=detail)


def _rest_seconds(connector: ConnectorConfig) -> float:
    """A record is renewed at half its life, however long the rest is: an entity must not vanish between two runs."""
    rest = connector.incremental.rest_length.total_seconds()
    return rest if connector.ttl is None else min(rest, connector.ttl.total_seconds() / 2)


def _connector(connector: ConnectorConfig, installation: Installation) -> Connector:
    settings = SourceSettings(
        connector=connector.connector_id,
        connection=connector.connection,
        base_dir=installation.config.origin.base_dir,
        chunk_size=connector.incremental.chunk_size,
    )
    return Connector(
        id=connector.connector_id,
        source=source_class(connector.type)(settings),
        tenant=connector.tenant,
        is_complete=connector.is_complete,
        rest_seconds=_rest_seconds(connector),
    )
