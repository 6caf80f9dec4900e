"""The role `processor`: one worker of the group, on every changes topic that exists."""

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

import structlog

from mainstem.cluster import Cluster
from mainstem.embedded.lock import DataDirLock
from mainstem.installation import Installation
from mainstem.log import log_end
from mainstem.policies import policy_of
from mainstem.roles.health import Progress
from mainstem.roles.role import RESTART_CODE, RoleOptions, leave_last_line, present, stop_on_signals
from mainstem.security import access
from schemas import writers
from schemas.errors import ConfigError, MainstemError, TopicMismatchError
from schemas.metrics import ProcessorMetrics
from schemas.topics import Topics, require
from streams.distrust import Distrust
from streams.worker import SESSION_TIMEOUT, Worker, WorkerSettings

log = structlog.get_logger(__name__)

_INSTANCE: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
LOOK_SECONDS: Final = 5.0
"""Between two looks for changes topics that were made since the start."""


class TopicsChanged(MainstemError):  # noqa: N818 - no fault: the worker ends so that it is started again
    """A new changes topic was found: whoever started the worker starts it again, and it reads that topic too."""

    exit_code = RESTART_CODE


def run(installation: Installation, instance: str, options: RoleOptions, *, ephemeral: bool = False) -> None:
    """Run one worker until a signal. *instance* names its directory, apart from those of other workers.

    *ephemeral*: that directory does not survive; the worker is no fixed member, and others keep copies of its store.
    Ends with RESTART_CODE when there are new changes topics.
    """
    if not _INSTANCE.fullmatch(instance):
        raise ConfigError("--instance: 1 to 63 letters, digits, '-' and '_'")
    cluster, topics = installation.cluster, installation.topics
    directory = installation.data_dir / "processor" / instance
    with DataDirLock(directory):
        sources = _trusted_sources(cluster, installation)
        writers.register(topics)
        # A static member that comes back in time is given what it had, whatever it subscribes to now.
        member = None if ephemeral else f"{topics.processor_group}-{instance}-{_fingerprint(sources)}"
        _settle_in(cluster, topics, directory, member)
        settings = WorkerSettings(
            bootstrap_servers=installation.bootstrap_servers,
            access=access(installation.config.kafka),
            topics=topics,
            sources=frozenset(sources),
            policy=policy_of(installation.config),
            data_dir=directory,
            instance_id=member,
            standbys=1 if ephemeral else 0,
        )
        try:
            asyncio.run(_run(settings, cluster, options))
        except TopicsChanged as end:
            # No failure, of which a last line would tell: it is logged already.
            leave_last_line(options.run_file, end)
            raise SystemExit(end.exit_code) from None


def _settle_in(cluster: Cluster, topics: Topics, directory: Path, member: str | None) -> None:
    """Return once *directory* is of this cluster, and no predecessor under the same instance id can write any more.

    A predecessor that worked in *directory* has ended: we hold its lock. One elsewhere may be stopped and not know it.
    """
    marker, cluster_id = directory / "member", cluster.cluster_id()
    found = marker.read_text().split() if marker.exists() else []
    if found == [cluster_id, *([member] if member else [])]:
        return
    if found and found[0] != cluster_id:
        # What was merged on another cluster is not what this one's changelog says, however the offsets compare.
        Distrust(directory).note(range(topics.partitions))
    if member is not None and member in cluster.members(topics.processor_group):
        log.info("processor.waiting_for_predecessor", member=member, seconds=SESSION_TIMEOUT)
        time.sleep(SESSION_TIMEOUT)
    marker.write_text(f"{cluster_id} {member or ''}".strip())


async def _run(settings: WorkerSettings, cluster: Cluster, options: RoleOptions) -> None:
    stop = stop_on_signals(asyncio.get_running_loop())
    worker = Worker(settings, metrics=ProcessorMetrics())
    progress = Progress(lambda: worker.engine.lag, lambda: worker.engine.done)
    present(options, progress.readiness)
    watching = asyncio.create_task(_watch(cluster, settings, stop))
    try:
        await worker.run(stop)
    except MainstemError as error:
        # Faust's threads do not end after a crash: leaving the loop would wait for them for ever.
        leave_last_line(options.run_file, error)
        log_end(error)
        os._exit(error.exit_code)
    finally:
        watching.cancel()
    if watching.done() and not watching.cancelled() and watching.exception():
        raise watching.exception() or AssertionError


async def _watch(cluster: Cluster, settings: WorkerSettings, stop: asyncio.Event) -> None:
    """End the worker when somebody made a changes topic that it can read and does not."""
    ignored: set[str] = set()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            found = await asyncio.to_thread(cluster.changes_topics, settings.topics)
            unknown = found - settings.sources - ignored
            new = await asyncio.to_thread(_usable, cluster, settings.topics, unknown)
        except MainstemError as error:
            log.warning("processor.topics_not_listed", reason=str(error))
            continue
        ignored |= unknown - new
        if new:
            stop.set()
            log.info("processor.topics_added", topics=sorted(new), reason="the worker starts again to read them")
            raise TopicsChanged(f"new changes topics: {', '.join(sorted(new))}; the worker starts again to read them")


def _trusted_sources(cluster: Cluster, installation: Installation) -> set[str]:
    """Return the changes topics to read. Raises TopicMismatchError where one that is configured cannot be used."""
    topics = installation.topics
    cluster.require(topics.definitions(installation.connector_ids))
    return _usable(cluster, topics, cluster.changes_topics(topics))


def _usable(cluster: Cluster, topics: Topics, names: Collection[str]) -> set[str]:
    """Return those of *names* that can be read. Another is told and left alone: it must not stop all connectors."""
    found, usable = cluster.existing(names), set()
    for name in sorted(names):
        try:
            require(topics.changes_definition(topics.connector_of(name) or ""), found.get(name))
        except TopicMismatchError as error:
            log.error("processor.topic_unusable", topic=name, reason=str(error))  # noqa: TRY400
        else:
            usable.add(name)
    return usable


def _fingerprint(sources: Collection[str]) -> str:
    return hashlib.blake2b("\n".join(sorted(sources)).encode(), digest_size=4).hexdigest()
