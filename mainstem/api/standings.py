"""Connectors, their runs and their held deletions as they are answered; the command line answers the same."""

from datetime import datetime
from typing import Any

from mainstem.api.shapes import timestamp
from sources.steering import Configured, Hold, LastSync, Standing


def status(connector: Configured, found: Standing) -> dict[str, Any]:
    """A paused connector has no next run, and what is under way without anybody alive is no progress."""
    is_under_way = found.is_running and found.pages is not None
    return {
        "connector_id": connector.id,
        "type": connector.type,
        "enabled": connector.enabled,
        "state": found.state,
        "last_success_at": _time(found.last_success_at),
        "last_error": _error(found.last_error_class, found.last_error_message, at=_time(found.last_error_at)),
        "entities": found.entities,
        "consecutive_failures": found.consecutive_failures,
        "next_run_at": None if found.is_paused else _time(found.next_run_at),
        "progress": {"pages": found.pages, "entities": found.entities_read} if is_under_way else None,
        "held_deletions": found.held_deletions,
    }


def run(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `connector_runs`."""
    left_out = ("is_full", "error_class", "error_message")
    kept = {name: value for name, value in row.items() if name not in left_out}
    return {
        **kept,
        "full": row["is_full"],
        "started_at": _time(row["started_at"]),
        "ended_at": _time(row["ended_at"]),
        "error": _error(row["error_class"], row["error_message"]),
    }


def failed_run(row: dict[str, Any], found: Standing) -> dict[str, Any]:
    """Return a run that failed and is not ended yet, since it is to go on where it failed."""
    return {**run(row), "outcome": "failed", "error": _error(found.last_error_class, found.last_error_message)}


def hold(found: Hold) -> dict[str, Any]:
    return {
        "hold_id": str(found.hold_id),
        "count": len(found.refs),
        "percent": found.percent,
        "refs": found.refs,
        "created_at": _time(found.created_at),
        "expires_at": _time(found.expires_at),
    }


def last_sync(found: LastSync) -> dict[str, Any]:
    return {
        "connector_id": found.connector,
        "last_success_at": _time(found.last_success_at),
        "commit": found.commit,
        "files": found.files,
    }


def _error(name: str | None, message: str | None, **more: Any) -> dict[str, Any] | None:
    return None if name is None else {"class": name, "message": message, **more}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)
