"""Steering connectors: a runner keeps all of its state in rows and looks at them every second, so to steer is to write.

Every function takes an open connection and is a transaction of its own, or a part of the caller's. What it returns
is what the rows said: a runner that is away takes note when it comes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from schemas.errors import ConflictError, UnknownNameError
from schemas.refs import DEFAULT_TENANT
from schemas.statements import statements

State = Literal["idle", "running", "resting", "backing_off", "paused", "held", "alert"]

ALERT_FAILURES: Final = 3
"""So many failures in a row, and somebody has to look: the source is taken to be away, and runs begin anew."""
RESET_MS: Final = 300_000
"""A reset touches every row of the ledger, which takes longer than an answer of the API may otherwise take."""

_QUERIES: Final = statements(Path(__file__).with_name("steering.sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A connector as the configuration has it. *runs_here*: false where others publish its changes."""

    id: str
    type: str
    tenant: str = DEFAULT_TENANT
    enabled: bool = True
    runs_here: bool = True
    is_central: bool = False
    """Whether it reads a repository that lies elsewhere, so that somebody asks when it was read last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the rows say of one connector."""

    connector: str
    is_paused: bool
    is_running: bool
    """A run is under way, be it between two bursts, and whoever runs it is alive."""
    consecutive_failures: int
    last_success_at: datetime | None
    last_error_class: str | None
    last_error_message: str | None
    last_error_at: datetime | None
    next_run_at: datetime | None
    pages: int | None
    entities_read: int | None
    has_run: bool
    entities: int
    is_held: bool
    held_deletions: int

    @property
    def state(self) -> State:
        """The first that holds, by what somebody has to know first."""
        claims: tuple[tuple[bool, State], ...] = (
            (self.is_paused, "paused"),
            (self.consecutive_failures >= ALERT_FAILURES, "alert"),
            (self.is_running, "running"),
            (self.is_held, "held"),
            (self.consecutive_failures > 0, "backing_off"),
            (self.has_run, "resting"),
        )
        return next((state for holds, state in claims if holds), "idle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Residue:
    """What is not as the source has it: documents that the newest run *refused*, and entities whose deletion was
    rejected, which are *kept* although the source has them no more.
    """

    refused: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Deletes that wait for a decision. *entities*: of how many the connector held when the hold was made."""

    hold_id: UUID
    entities: int
    refs: list[str]
    created_at: datetime
    expires_at: datetime

    @property
    def percent(self) -> float:
        return round(100 * len(self.refs) / self.entities, 1) if self.entities else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSync:
    """When a repository was read last, and what of it: *files* is how many of its files hold entities. None where
    there is nothing to say yet, or the repository has no commits."""

    connector: str
    last_success_at: datetime | None
    commit: str | None
    files: int | None


async def statuses(connection: AsyncConnection, connectors: Sequence[Configured]) -> list[Standing]:
    """Return where *connectors* stand, sorted by id; one that has no rows yet is idle."""
    asked = {"connectors": [each.id for each in connectors], "tenants": [each.tenant for each in connectors]}
    async with connection.cursor(row_factory=class_row(Standing)) as cursor:
        return await (await cursor.execute(_QUERIES["standings"], asked)).fetchall()


async def status(connection: AsyncConnection, connector: Configured) -> Standing:
    return (await statuses(connection, [connector]))[0]


async def residue(connection: AsyncConnection, connector: Configured) -> Residue:
    async with connection.cursor(row_factory=class_row(Residue)) as cursor:
        found = await (await cursor.execute(_QUERIES["residue"], {"connector": connector.id})).fetchone()
    return found or Residue()


async def request_sync(connection: AsyncConnection, connector: Configured, *, full: bool = True) -> int:
    """Ask for a run now, *full*: of what has not changed as well. Return a number: that of the run which answers is
    higher. Of a paused connector the request waits until it is resumed.

    Raises ConflictError while a run is under way, and where none ever starts.
    """
    _require_runs_here(connector)
    _require_enabled(connector)
    found = await _row(connection, "request_sync", connector=connector.id, full=full)
    if found is None:
        raise ConflictError(f"a run of connector {connector.id} is under way; it can be asked for when that has ended")
    below: int = found[0]
    return below


async def pause(connection: AsyncConnection, connector: Configured) -> None:
    """Start no run, and let the one under way wait after its page. Raises ConflictError where nothing runs here."""
    _require_runs_here(connector)
    await connection.execute(_QUERIES["set_paused"], {"connector": connector.id, "paused": True})


async def resume(connection: AsyncConnection, connector: Configured) -> None:
    """Undo :func:`pause`. Raises ConflictError where nothing runs here."""
    _require_runs_here(connector)
    await connection.execute(_QUERIES["set_paused"], {"connector": connector.id, "paused": False})


async def reset(connection: AsyncConnection, connector: Configured) -> None:
    """Forget where runs stood and what went wrong; read everything now and publish it, whatever the ledger says.

    A run under way is no longer the connector's, and its next write finds that. What the connector has published
    stays known, so that what it no longer has is still deleted. Raises ConflictError where nothing runs here.
    """
    _require_runs_here(connector)
    async with connection.transaction():
        await connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(RESET_MS),))
        # The lease first, as whoever writes for a run does: two that lock rows in different orders wait for each other.
        for name in ("hold_still", "reset_state", "reset_runs", "reset_ledger"):
            await connection.execute(_QUERIES[name], {"connector": connector.id})


async def runs(
    connection: AsyncConnection, connector: Configured, *, limit: int, cursor: int | None = None
) -> list[dict[str, Any]]:
    """Return at most *limit* runs as `connector_runs` has them, the newest first. *cursor*: only those before it."""
    asked = {"connector": connector.id, "limit": limit, "before": cursor}
    async with connection.cursor(row_factory=dict_row) as found:
        return await (await found.execute(_QUERIES["runs"], asked)).fetchall()


async def holds(connection: AsyncConnection, connector: Configured) -> list[Hold]:
    """Return the deletes that can be approved or rejected now."""
    async with connection.cursor(row_factory=class_row(Hold)) as cursor:
        return await (await cursor.execute(_QUERIES["holds"], {"connector": connector.id})).fetchall()


async def approve(connection: AsyncConnection, connector: Configured, hold_id: UUID, *, by: str) -> None:
    """Let the runner publish the deletes of a hold. Raises UnknownNameError, and ConflictError when it is no longer
    open, or where nothing runs that would delete: much may be back until something does.
    """
    _require_enabled(connector)
    await _decide(connection, connector, hold_id, "approved", by)


async def reject(connection: AsyncConnection, connector: Configured, hold_id: UUID, *, by: str) -> None:
    """Keep the entities of a hold until they are seen again. Raises UnknownNameError, and ConflictError when it is no
    longer open.
    """
    async with connection.transaction():
        await _decide(connection, connector, hold_id, "rejected", by)
        await connection.execute(_QUERIES["keep"], {"connector": connector.id, "hold_id": hold_id})


async def last_sync(connection: AsyncConnection, connectors: Sequence[Configured]) -> LastSync | None:
    """Return that of *connectors* which was read last; None without any."""
    async with connection.cursor(row_factory=class_row(LastSync)) as cursor:
        await cursor.execute(_QUERIES["last_sync"], {"connectors": [each.id for each in connectors]})
        return await cursor.fetchone()


def find(connectors: Sequence[Configured], connector_id: str) -> Configured:
    """Raises UnknownNameError for an id that is not configured."""
    for each in connectors:
        if each.id == connector_id:
            return each
    raise UnknownNameError("no connector of that id is configured")


async def _decide(
    connection: AsyncConnection, connector: Configured, hold_id: UUID, state: Literal["approved", "rejected"], by: str
) -> None:
    if await _row(connection, "decide", connector=connector.id, hold_id=hold_id, state=state, by=by):
        return
    found = await _row(connection, "decided", connector=connector.id, hold_id=hold_id)
    if found is None:
        raise UnknownNameError(f"connector {connector.id} has no held deletions {hold_id}")
    raise ConflictError(f"the held deletions {hold_id} are not open any more: {found[0]}")


async def _row(connection: AsyncConnection, query: str, **parameters: Any) -> tuple[Any, ...] | None:
    return await (await connection.execute(_QUERIES[query], parameters)).fetchone()


def _require_runs_here(connector: Configured) -> None:
    if not connector.runs_here:
        raise ConflictError(f"connector {connector.id} does not run here: others publish its changes")


def _require_enabled(connector: Configured) -> None:
    if not connector.enabled:
        raise ConflictError(f"connector {connector.id} is not enabled: nothing runs it")
