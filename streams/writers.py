"""Schemas of a registry, fetched before a run is merged: merging itself never waits for a network."""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from schemas import writers
from schemas.errors import Retriable
from schemas.metrics import ProcessorMetrics

log = structlog.get_logger(__name__)

FIRST_PAUSE: Final = 0.2
"""Seconds."""
LONGEST_PAUSE: Final = 10.0
"""Seconds."""


async def schemas_at_hand(values: Iterable[bytes | None], metrics: ProcessorMetrics) -> None:
    """Return once the schema of each value is known, or known to be nobody's.

    While the registry is away this waits, and says so each time. No change is set aside for that.
    """
    values, asked = list(values), set[int]()
    # What many unknown ids pushed out is asked for again. Each once: a run with more of them than fit, or than are
    # asked for in the time that an answer counts, would never be merged.
    while wanted := writers.lacking(values) - asked:
        for wire_id in sorted(wanted):
            await _fetch(wire_id, metrics)
        asked |= wanted


async def _fetch(wire_id: int, metrics: ProcessorMetrics) -> None:
    pause = FIRST_PAUSE
    while True:
        try:
            await asyncio.to_thread(writers.fetch, wire_id)
        except Retriable as error:
            metrics.registry_retries.inc()
            log.warning("processor.waiting_for_registry", schema_id=wire_id, pause=pause, reason=str(error))
        else:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
