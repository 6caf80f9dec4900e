"""What a connector does next, decided from where it stands. Nothing is written; of a source :func:`mode_of` alone asks
whether it can tell what changed.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from schemas.errors import RateLimitedError, SourceUnreachableError
from sources.connector import Connector
from sources.states import Mode, State, Trigger
from sources.steering import ALERT_FAILURES

RESUMED_FOR: Final = timedelta(hours=24)
"""A run that began longer ago begins anew: what it missed may be back, and would be deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A run that is to begin now, or to go on. *is_full*: what has not changed is published as well."""

    trigger: Trigger
    is_full: bool = False
    is_resumed: bool = False


def due(state: State, connector: Connector, cluster: str) -> Due | None:
    """Return what is due at `state.now`, None when nothing is."""
    if state.paused:
        return None
    can_resume = _can_resume(state, connector, cluster)
    is_full_due = state.next_full_at is not None and state.next_full_at <= state.now
    # A run that cannot be gone on with begins anew as what it was.
    is_full = is_full_due or state.requested_full or (state.run is not None and state.is_full)
    if state.requested_at is not None:
        return Due(trigger="manual", is_full=is_full, is_resumed=can_resume and not state.requested_full)
    if state.next_run_at is not None and state.next_run_at > state.now:
        is_changed = state.fingerprint is not None and state.fingerprint != connector.fingerprint
        is_elsewhere = state.cluster_id is not None and state.cluster_id != cluster
        # With another configuration it may no longer fail; for a full run it waits as for any other.
        if not (is_changed or is_elsewhere or (is_full_due and not state.consecutive_failures)):
            return None
    trigger: Trigger = "schedule" if connector.schedule.cron else "rest"
    if state.consecutive_failures:
        trigger = "retry"
    return Due(trigger=trigger, is_full=is_full, is_resumed=can_resume)


def mode_of(state: State, connector: Connector, cluster: str, *, is_full: bool) -> Mode:
    """Return whether it is enough to read what changed. It is not where records have to be renewed."""
    is_known = state.fingerprint == connector.fingerprint and state.cluster_id == cluster
    offers = state.since is not None and connector.source.changes(state.since) is not None
    return "changes" if is_known and offers and not is_full and connector.schedule.renewal is None else "complete"


def is_resumable(error: Exception, failures: int) -> bool:
    """Whether the next run goes on after the last acknowledged page of the one that ended with *error*.

    Not where somebody has to look: pages that can be read must not wait for one that cannot.
    """
    return isinstance(error, SourceUnreachableError | RateLimitedError) and failures < ALERT_FAILURES


def _can_resume(state: State, connector: Connector, cluster: str) -> bool:
    if state.run is None or state.fingerprint != connector.fingerprint or state.cluster_id != cluster:
        return False
    if state.started_at is None or state.now - state.started_at > RESUMED_FOR:
        return False
    # What changed is asked for from the same beginning again, and would be taken for a source that repeats itself.
    return state.phase == "sweep" or (state.cursor is not None and state.mode == "complete")
