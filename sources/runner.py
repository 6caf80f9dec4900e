"""Runs a connector: read a page, check it, publish it, until everything was read; rest; again."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from schemas.errors import Fatal, MainstemError, Skippable
from schemas.metrics import ConnectorMetrics
from schemas.refs import DEFAULT_TENANT
from schemas.topics import Topics
from sources.base import Page, Source
from sources.publisher import Draft, Publisher, draft

log = structlog.get_logger(__name__)

BACKOFF_SECONDS: Final = (1.0, 5.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One configured instance of a source, as the runner needs it."""

    id: str
    source: Source
    tenant: str = DEFAULT_TENANT
    is_complete: bool = False
    rest_seconds: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one run came to."""

    published: int
    refused: int


class Runner:
    """Runs one connector for as long as it is asked to."""

    def __init__(
        self, connector: Connector, client: Mapping[str, str | int | bool], topics: Topics, metrics: ConnectorMetrics
    ) -> None:
        self._connector = connector
        self._publisher = Publisher(client, topics.changes(connector.id))
        self._metrics = metrics
        self._log = log.bind(connector=connector.id)
        self.id = connector.id
        self.completed_runs = 0
        self.is_failing = False
        """Whether the last run failed."""
        self._moved_at: float | None = None

    @property
    def waited(self) -> float:
        """For how many seconds the run under way has not brought a page; 0 between two runs."""
        moved_at = self._moved_at
        return 0.0 if moved_at is None else time.monotonic() - moved_at

    async def run(self, stop: asyncio.Event) -> None:
        """Run, rest, and run again until *stop* is set. A run that fails is repeated after a growing pause."""
        failures = 0
        self._metrics.begin(self._connector.id, self._connector.rest_seconds)
        while not stop.is_set():
            pause, began = self._connector.rest_seconds, time.monotonic()
            self._moved_at = began
            try:
                report = await self.run_once()
            except Fatal:
                raise
            except Exception as error:  # noqa: BLE001 - a source may raise whatever its system does: the run failed
                pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
                failures += 1
                self.is_failing = True
                self._metrics.runs.labels(self._connector.id, "failed").inc()
                self._log.error("connector.run_failed", reason=_reason(error), again_in_seconds=pause)
            else:
                failures, self.is_failing = 0, False
                self.completed_runs += 1
                self._metrics.runs.labels(self._connector.id, "complete").inc()
                self._metrics.last_success.labels(self._connector.id).set(time.time())
                self._metrics.run_seconds.labels(self._connector.id).set(time.monotonic() - began)
                self._log.info("connector.run_completed", published=report.published, refused=report.refused)
            self._moved_at = None
            await _sleep(stop, pause)

    async def run_once(self) -> RunReport:
        """Read everything once and publish it. Raises what kept it from being complete; nothing is ever deleted."""
        published = refused = 0
        async for page in self._connector.source.pages(None):
            drafts, faults = self._checked(page)
            await asyncio.to_thread(self._publisher.publish, drafts)
            self._metrics.published.labels(self._connector.id).inc(len(drafts))
            self._metrics.refused.labels(self._connector.id).inc(faults)
            self._moved_at = time.monotonic()
            published += len(drafts)
            refused += faults
        return RunReport(published=published, refused=refused)

    def _checked(self, page: Page) -> tuple[list[Draft], int]:
        """Return what can be published of *page*, and how much cannot; each refusal is logged with its place."""
        drafts, refused = [], [(each.place, each.reason) for each in page.refused]
        for item in page.items:
            try:
                drafts.append(
                    draft(
                        item.change,
                        self._connector.id,
                        tenant=self._connector.tenant,
                        is_complete=self._connector.is_complete,
                    )
                )
            except Skippable as error:
                refused.append((item.place, str(error)))
        for place, reason in refused:
            self._log.warning("connector.document_refused", place=place, reason=reason)
        return drafts, len(refused)


def _reason(error: Exception) -> str:
    """An error of ours is a sentence without payload text; of another's the class must do."""
    return str(error) if isinstance(error, MainstemError) else type(error).__name__


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
