"""How connectors, their runs and their held deletions are shown to people."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from mainstem.terminal import cell, counted, visible
from mainstem.terminal import table as columns
from sources.steering import Hold

REFS_SHOWN: Final = 20
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


_ENDINGS: Final = {"complete": "is complete", "partial": "is partial", "failed": "failed", "reset": "was reset"}


def table(statuses: Iterable[dict[str, Any]], console: Console) -> None:
    """Print one line for each connector."""
    shown = columns("connector", "state", "entities", "last success", "next run", "held")
    for each in statuses:
        numbers = str(each["entities"]), str(each["held_deletions"])
        times = told(each["last_success_at"]), told(each["next_run_at"], none="none")
        shown.add_row(*map(cell, (each["connector_id"], _state(each), numbers[0], *times, numbers[1])))
    console.print(shown if shown.row_count else "no connectors are configured")


def detail(status: dict[str, Any], console: Console) -> None:
    """Print all that is known of one connector: its status, with what is not as the source has it."""
    shown = Table.grid(padding=(0, 2))
    error, progress = status["last_error"], status["progress"]
    rows = {
        "connector": status["connector_id"],
        "type": status["type"],
        "state": _state(status),
        "entities": str(status["entities"]),
        "last success": told(status["last_success_at"]),
        "next run": told(status["next_run_at"], none="none"),
        "failures in a row": str(status["consecutive_failures"]),
        "last error": f"{_reason(error)} ({told(error['at'])})" if error else "none",
        "held deletions": str(status["held_deletions"]),
        "kept though gone": str(status["kept"]),
        "refused by the newest run": _refused(status["refused"], status["connector_id"]),
    }
    if progress:
        rows["progress"] = f"{counted(progress['entities'], 'entity')} in {counted(progress['pages'], 'page')}"
    for name, value in rows.items():
        shown.add_row(cell(name), cell(value))
    console.print(shown)


def run_row(connector: str, run: dict[str, Any]) -> str:
    """Return what one run came to, as a line."""
    others = (f"{run[name]} {name}" for name in ("published", "deleted", "held", "refused"))
    counts = ", ".join((counted(run["entities"], "entity"), *others))
    error = run["error"]
    reason = f"; {visible(_reason(error))}" if error else ""
    return f"{connector}: run {run['run']} {_ENDINGS.get(run['outcome'], run['outcome'])}: {counts}{reason}"


def preview(hold: Hold) -> str:
    """Return what would be deleted, as lines."""
    refs = [f"  {visible(ref)}" for ref in hold.refs[:REFS_SHOWN]]
    more = [f"  and {len(hold.refs) - REFS_SHOWN} more"] if len(hold.refs) > REFS_SHOWN else []
    head = (
        f"{len(hold.refs)} of {counted(hold.entities, 'entity')} ({hold.percent} %), held {told(hold.created_at)},"
        f" expires {told(hold.expires_at)}:"
    )
    return "\n".join([head, *refs, *more])


def told(moment: datetime | str | None, *, none: str = "never") -> str:
    """Return a moment as people say it: `5 min ago`, `in 2 h`; *none* where there is no moment."""
    if moment is None:
        return none
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    seconds = (datetime.now(UTC) - at).total_seconds()
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(seconds) >= size), _UNITS[-1])
    amount = f"{int(abs(seconds) // size)} {unit}"
    return f"in {amount}" if seconds < 0 else f"{amount} ago"


def _reason(error: dict[str, Any]) -> str:
    """Return the sentence; its class is for programs, and stands in for a sentence that nobody wrote."""
    return str(error["message"] or error["class"])


def _refused(count: int, connector: str) -> str:
    return f"{count}; `mainstem connectors diff {connector}` names them" if count else "0"


def _state(status: dict[str, Any]) -> str:
    return str(status["state"]) if status["enabled"] else "disabled"
