"""One processor worker: settings for Faust, a start that refuses what it cannot work on, an end with a reason."""

import asyncio
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from aiokafka.errors import InvalidTimestampError, KafkaError
from faust.exceptions import ConsistencyError
from mode import CrashingSupervisor

from schemas.errors import FencedError, MainstemError, UnavailableError
from schemas.metrics import ProcessorMetrics
from schemas.topics import Topics
from streams.access import Access
from streams.engine import Engine
from streams.lease import LeaseLostError
from streams.policy import Policy
from streams.processor import Processor

log = structlog.get_logger(__name__)

GC_THRESHOLDS: Final = (50_000, 20, 100)
LOOK_SECONDS: Final = 0.2
"""Faust's services do not say that they crashed: somebody has to look."""
SESSION_TIMEOUT: Final = 10.0
HEARTBEAT_INTERVAL: Final = 2.0
PRODUCE_TIMEOUT: Final = 60.0
MAX_REQUEST_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What one worker is made of. *sources* are the changes topics that it reads."""

    bootstrap_servers: str
    topics: Topics
    sources: frozenset[str]
    policy: Policy
    data_dir: Path
    access: Access | None = None
    instance_id: str | None = None
    """Fixed where *data_dir* survives restarts: a successor under it gets its predecessor's partitions at once, and
    must be started only when the predecessor's lease is over. None: a member that is forgotten when it ends."""
    standbys: int = 0
    """How many other workers keep a copy of each partition's store, for where *data_dir* does not survive restarts."""
    session_timeout: float = SESSION_TIMEOUT


class Worker:
    """Runs until told to stop, or until something happens after which it must not go on."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        metrics: ProcessorMetrics,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = settings
        processor = Processor(settings.topics, settings.policy, metrics)
        self.engine = _engine(settings, metrics, clock)
        topics = settings.topics
        self.engine.prepare(settings.sources, topics.partitions, processor, entities=topics.entities)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until *stop* is set. Raises what ended the worker otherwise."""
        # Merging makes many short-lived objects and no cycles: the collector's passes over them find nothing.
        gc.set_threshold(*GC_THRESHOLDS)
        log.info("processor.starting", sources=sorted(self._settings.sources))
        stopping, starting = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._start())
        try:
            # Recovery is part of the start, and may take long: it is watched, and can be stopped.
            while not stopping.done():
                if self.engine.crashed:
                    raise self._reason()
                if starting.done():
                    starting.result()
                self.engine.upkeep.look()
                await asyncio.wait([stopping], timeout=LOOK_SECONDS)
        finally:
            stopping.cancel()
        try:
            if starting.done():
                await self.engine.drain()
            else:
                starting.cancel()
            await self.engine.stop()
        except KafkaError as error:
            raise _reason(error) from error
        log.info("processor.stopped")

    async def _start(self) -> None:
        try:
            await self.engine.start()
        except Exception as error:  # whatever Faust, its store or the disk may raise: the process ends with a sentence
            raise _reason(error) from error
        log.info("processor.started")

    def _reason(self) -> Exception:
        error = self.engine.crash_reason
        if isinstance(error, ConsistencyError):
            self.engine.distrust.note(range(self._settings.topics.partitions))
            return UnavailableError(
                "the local store has read further than the changelog reaches: the topic was replaced. The store is"
                " removed at the next start, and made anew from the changelog"
            )
        return _reason(error)


def _reason(error: BaseException | None) -> Exception:
    if isinstance(error, MainstemError):
        return error
    if isinstance(error, LeaseLostError):
        return FencedError(
            "the processor ended before it wrote anything more: it was stopped, or cut off from Kafka, for so long that"
            " its partitions may be another worker's"
        )
    if isinstance(error, InvalidTimestampError):
        return UnavailableError(
            "Kafka refused the time of a record: the clock of this machine is far from the broker's; set it right"
        )
    return UnavailableError(f"the processor ended: {type(error).__name__}: {error}")


def _engine(settings: WorkerSettings, metrics: ProcessorMetrics, clock: Callable[[], int]) -> Engine:
    return Engine(
        settings.topics.processor_group,
        metrics=metrics,
        clock=clock,
        broker=";".join(f"kafka://{server}" for server in settings.bootstrap_servers.split(",")),
        broker_credentials=settings.access and settings.access.credentials(),
        store="rocksdb://",
        data_dir=settings.data_dir,
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.topics.partitions,
        topic_replication_factor=settings.topics.replication_factor,
        table_standby_replicas=settings.standbys,
        key_serializer="raw",
        value_serializer="raw",
        consumer_group_instance_id=settings.instance_id,
        broker_commit_interval=1.0,
        broker_session_timeout=settings.session_timeout,
        broker_rebalance_timeout=max(60.0, settings.session_timeout),
        broker_heartbeat_interval=HEARTBEAT_INTERVAL,
        stream_buffer_maxsize=16,
        stream_wait_empty=False,
        producer_linger=0.0,
        producer_request_timeout=PRODUCE_TIMEOUT,
        producer_max_batch_size=256 * 1024,
        producer_max_request_size=MAX_REQUEST_BYTES,
        web_enabled=False,
        worker_redirect_stdouts=False,
        agent_supervisor=CrashingSupervisor,
    )
