"""Where each connector stands, in Postgres: its run under way, when the next one begins, what was asked of it.

Every method runs within the transaction of its connection. Where it is given a run, it raises LeaseLostError when that
is no longer the connector's: somebody reset it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from schemas.errors import LeaseLostError
from schemas.statements import statements
from sources.leases import Connection

Mode = Literal["complete", "changes"]
Trigger = Literal["schedule", "rest", "retry", "manual"]

_QUERIES: Final = statements(Path(__file__).with_name("states.sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One connector's row, read at `now` of Postgres's clock."""

    now: datetime
    run: int | None = None
    started_at: datetime | None = None
    """When that run began."""
    cluster_id: str | None = None
    fingerprint: str | None = None
    phase: str = "rest"
    mode: Mode = "complete"
    is_full: bool = False
    cursor: Mapping[str, Any] | None = None
    total: int | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
    covers: Sequence[str] = ()
    has_duplicates: bool = False
    since: Mapping[str, Any] | None = None
    next_run_at: datetime | None = None
    next_full_at: datetime | None = None
    requested_at: datetime | None = None
    requested_full: bool = False
    paused: bool = False
    consecutive_failures: int = 0
    first_failure_at: datetime | None = None
    outage_since: datetime | None = None
    last_success_at: datetime | None = None
    approved: str | None = None
    """A hold that somebody approved, and that is not deleted yet."""
    held: int = 0
    """Deletions that wait for a decision."""
    pages: int = 0
    published: int = 0
    entities: int = 0
    filtered: int = 0
    left_out: int = 0
    refused: int = 0


_STATE_FIELDS: Final = frozenset(each.name for each in fields(State))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a page, or a batch of deletes, adds to its run."""

    pages: int = 0
    entities: int = 0
    published: int = 0
    unchanged: int = 0
    filtered: int = 0
    refused: int = 0
    left_out: int = 0
    deleted: int = 0
    held: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(Counts)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands after a page, or after several."""

    cursor: Mapping[str, Any] | None
    total: int | None
    guarded: Collection[str]
    """Scopes in which something could not be understood: nothing of them is deleted; the run is none the worse."""
    unread: Mapping[str, str]
    covers: Sequence[str]
    has_duplicates: bool


class States:
    """The row of one connector, and of its runs."""

    def __init__(self, connector: str) -> None:
        self._connector = connector

    async def begin(self, connection: Connection, lease: str) -> None:
        """Make the row, and let the connector run now, unless it runs elsewhere or waits after a failure."""
        await self._do(connection, "begin")
        await self._do(connection, "start", lease=lease)

    async def read(self, connection: Connection) -> State:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_QUERIES["read"], {"connector": self._connector})
            row = await cursor.fetchone()
        # A column without a value has the default of its field; later versions may add columns.
        found = {name: value for name, value in (row or {}).items() if name in _STATE_FIELDS and value is not None}
        return State(**found)

    async def open_run(self, connection: Connection, before: State, *, mode: Mode, trigger: Trigger, **row: Any) -> int:
        """Begin a run in the place of that of *before*. *row*: `is_full`, `cluster` and `fingerprint`."""
        found = await self._row(connection, "open_run", mode=mode, trigger=trigger, is_full=row["is_full"])
        run = int(found["run"])
        row = {"cluster": row["cluster"], "fingerprint": row["fingerprint"]}
        await self._own(connection, "set_run", run=run, before=before.run, mode=mode, **row)
        return run

    async def answer_request(self, connection: Connection, before: State) -> None:
        """What was asked for when *before* was read is being done."""
        if before.requested_at is not None:
            await self._do(connection, "answer_request", asked=before.requested_at)

    async def save_page(self, connection: Connection, run: int, progress: Progress, counts: Counts) -> bool:
        """Return whether somebody has paused the connector."""
        row = await self._row(
            connection,
            "save_page",
            run=run,
            cursor=None if progress.cursor is None else Jsonb(progress.cursor),
            total=progress.total,
            guarded=Jsonb(dict.fromkeys(progress.guarded, "")),
            unread=Jsonb(progress.unread),
            covers=Jsonb(list(progress.covers)),
            has_duplicates=progress.has_duplicates,
            **_added(counts),
        )
        if not row:
            raise self._lost()
        return bool(row["paused"])

    async def set_phase(self, connection: Connection, run: int, phase: str) -> bool:
        """Return whether somebody has paused the connector."""
        row = await self._row(connection, "set_phase", run=run, phase=phase)
        if not row:
            raise self._lost()
        return bool(row["paused"])

    async def count(self, connection: Connection, run: int, counts: Counts) -> None:
        await self._do(connection, "count", run=run, **_added(counts))

    async def close_run(
        self, connection: Connection, run: int, outcome: str, *, error: tuple[str, str] | None = None
    ) -> None:
        """*error*: class and sentence."""
        name, message = error or (None, None)
        await self._do(connection, "close_run", run=run, outcome=outcome, error_class=name, error_message=message)

    async def close_unfinished(self, connection: Connection, run: int) -> None:
        """End a run in whose place another one begins; its error is what it failed of, if it did."""
        name, message = "Interrupted", "the run could not be gone on with; another one began"
        await self._do(connection, "close_unfinished", run=run, error_class=name, error_message=message)

    async def succeed(self, connection: Connection, run: int, **row: Any) -> None:
        """*row*: `since`, `next_run_at`, `next_full_at`."""
        since = row.pop("since")
        await self._own(connection, "succeed", run=run, since=None if since is None else Jsonb(since), **row)

    async def fail(
        self, connection: Connection, run: int | None, error: tuple[str, str], *, next_run_at: datetime, **row: bool
    ) -> None:
        """A run failed, or could not even begin. *row*: `is_resumable`, the next one goes on where this one ended, and
        `is_full`, else it publishes what has not changed as well.
        """
        name, message = error
        parameters = {"error_class": name, "error_message": message, "next_run_at": next_run_at}
        await self._own(connection, "fail", run=run, **parameters, **row)

    async def abandon(self, connection: Connection, run: int, error: tuple[str, str], *, is_full: bool) -> None:
        """End *run*, and let one that reads everything begin at once, *is_full* as well as it was."""
        await self._own(connection, "abandon", run=run, is_full=is_full)
        await self.close_run(connection, run, "failed", error=error)

    async def note_error(self, connection: Connection, error: tuple[str, str]) -> None:
        """Something kept the run from going on that is no fault of the source."""
        await self._do(connection, "note_error", error_class=error[0], error_message=error[1])

    async def set_outage(self, connection: Connection, since: datetime | None) -> None:
        await self._do(connection, "set_outage", since=since)

    async def _do(self, connection: Connection, query: str, **parameters: Any) -> int:
        answer = await connection.execute(_QUERIES[query], {"connector": self._connector, **parameters})
        return answer.rowcount

    async def _own(self, connection: Connection, query: str, **parameters: Any) -> None:
        if await self._do(connection, query, **parameters) != 1:
            raise self._lost()

    def _lost(self) -> LeaseLostError:
        return LeaseLostError(f"the run of connector {self._connector} was ended by somebody else: it was reset")

    async def _row(self, connection: Connection, query: str, **parameters: Any) -> dict[str, Any]:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_QUERIES[query], {"connector": self._connector, **parameters})
            return await cursor.fetchone() or {}


def _added(counts: Counts) -> dict[str, int]:
    return {each.name: getattr(counts, each.name) for each in fields(Counts)}
