"""When a connector runs next. Nothing here reads a clock: the times are Postgres's, so that replicas agree."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

from sources.base import MAX_RETRY_AFTER_SECONDS

BACKOFF: Final = (timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """*cron* and *full_cron* are read in *timezone*; *rest* counts only without *cron*.

    *renewal*: the age from which on a run renews what is held, None when nothing expires.
    """

    cron: str | None = None
    full_cron: str | None = None
    timezone: str = "UTC"
    jitter: timedelta = timedelta()
    rest: timedelta = timedelta(minutes=30)
    renewal: timedelta | None = None
    backoff: tuple[timedelta, ...] = BACKOFF

    @property
    def longest_rest(self) -> timedelta | None:
        """How long the connector rests at most between two runs; None where a cron expression says it."""
        rest = None if self.cron else self.rest
        return min((each for each in (rest, self.renewing_rest) if each is not None), default=None)

    @property
    def renewing_rest(self) -> timedelta | None:
        """How long the connector may rest so that nothing dies: what a run leaves alone, since it is a moment too
        young to be renewed, must live until the next run has come to it. Half the way leaves time for the runs.
        """
        return None if self.renewal is None else self.renewal / 2


def after_success(schedule: Schedule, now: datetime, *, chance: float) -> datetime:
    """Return when the next run begins after one that ended *now*. *chance*, 0 to 1, is the share of the jitter."""
    planned = _next(schedule.cron, schedule.timezone, now) if schedule.cron else now + schedule.rest
    planned += schedule.jitter * chance
    rest = schedule.renewing_rest
    return planned if rest is None else min(planned, now + rest)


def after_failure(schedule: Schedule, now: datetime, failures: int, *, retry_after: float | None = None) -> datetime:
    """Return when a run that failed *now*, as the last of *failures* in a row, is repeated.

    Not before the source asked for, whatever the configuration says, but for MAX_RETRY_AFTER_SECONDS at most: a source
    may ask for any number, or none.
    """
    pause = schedule.backoff[min(failures, len(schedule.backoff)) - 1]
    # In this order NaN, which no number exceeds, is nothing.
    asked = min(max(0.0, retry_after or 0.0), MAX_RETRY_AFTER_SECONDS)
    return now + max(pause, timedelta(seconds=asked))


def next_full(schedule: Schedule, now: datetime) -> datetime | None:
    """Return when everything is published anew; None where no such schedule is configured."""
    return _next(schedule.full_cron, schedule.timezone, now) if schedule.full_cron else None


def _next(cron: str, timezone: str, now: datetime) -> datetime:
    found: datetime = next(CronSim(cron, now.astimezone(ZoneInfo(timezone))))
    return found
