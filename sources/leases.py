"""Who may run a connector: a lease in Postgres, with a token that grows whenever it changes hands.

Two things keep a process that was stopped from finishing what it lost: it looks at its own clock before it publishes,
and every row that it writes is written in a transaction that renews the lease first.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psycopg
import structlog
from psycopg import errors
from psycopg_pool import AsyncConnectionPool

from schemas.errors import LeaseLostError
from schemas.statements import statements

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 30.0
"""For how long a lease lasts past its holder's last sign of life."""
DATABASE_AWAY: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
)
"""What says that Postgres is not there, or a standby: it passes, and is nobody's fault here."""
_RENEWALS: Final = 3
_MARGIN: Final = 0.9
"""The share of a lease after which its holder no longer trusts it: what it sends takes time to arrive."""

_QUERIES: Final = statements(Path(__file__).with_name("leases.sql"))

Connection = psycopg.AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]


class Lease:
    """The right to work for *name*, for as long as it is renewed."""

    def __init__(self, name: str, token: int, *, seconds: float, since: float, epoch: float) -> None:
        """*since*: when it was asked for. *epoch*: Postgres's time just now, in seconds."""
        self.name = name
        self.token = token
        self._seconds = seconds
        self._ahead = epoch - now()
        self._trusted_until = since + seconds * _MARGIN

    @property
    def pause(self) -> float:
        """Seconds between two renewals."""
        return self._seconds / _RENEWALS

    def now_ms(self) -> int:
        """Return the time in epoch ms by Postgres's clock: what two hosts publish is told apart by one clock."""
        return int((now() + self._ahead) * 1000)

    def check(self) -> None:
        """Raise LeaseLostError when the lease may be another's by now. Ask before anything leaves this process."""
        if now() >= self._trusted_until:
            raise LeaseLostError(f"the lease {self.name} was not renewed in time: another process may hold it")

    async def renew(self, connection: Connection) -> None:
        """Renew the lease within the transaction of *connection*: what else it writes is written by its holder.

        Raises LeaseLostError when another process holds it.
        """
        # What it writes may yet be rolled back: whoever does so ends its work, and asks Postgres before it does more.
        self.trust(await self.asked(connection))

    async def asked(self, connection: Connection) -> float:
        """As :meth:`renew`; return what to :meth:`trust` once that is committed."""
        self.check()
        since = now()
        parameters = {"name": self.name, "token": self.token, "seconds": self._seconds}
        answer = await connection.execute(_QUERIES["renew"], parameters)
        if answer.rowcount != 1:
            self._trusted_until = 0.0
            raise LeaseLostError(f"the lease {self.name} is another process's now")
        return since + self._seconds * _MARGIN

    def trust(self, until: float) -> None:
        self._trusted_until = until

    @asynccontextmanager
    async def proven(self, connection: Connection) -> AsyncIterator[None]:
        """As :meth:`renew` for what the body writes, which goes to Postgres in one go with the question whose the lease
        is; the answer comes at the end. The lease stays as it is: for what may be lost with a crash of Postgres, as a
        renewal must not be that somebody relies on.
        """
        self.check()
        async with connection.pipeline():
            answer = await connection.execute(_QUERIES["prove"], {"name": self.name, "token": self.token})
            yield
        if answer.rowcount != 1:
            self._trusted_until = 0.0
            raise LeaseLostError(f"the lease {self.name} is another process's now")


async def take(pool: Pool, name: str, *, holder: str, seconds: float = LEASE_SECONDS) -> Lease | None:
    """Return the lease, None while another process holds it."""
    since = now()
    async with pool.connection() as connection:
        answer = await connection.execute(_QUERIES["take"], {"name": name, "holder": holder, "seconds": seconds})
        row = await answer.fetchone()
    return None if row is None else Lease(name, row[0], seconds=seconds, since=since, epoch=row[1])


@asynccontextmanager
async def kept(pool: Pool, lease: Lease) -> AsyncIterator[None]:
    """Renew *lease* meanwhile, and give it back at the end. The body is ended with LeaseLostError when it is lost."""
    lost: list[LeaseLostError] = []
    ending = asyncio.timeout(None)

    async def keep() -> None:
        try:
            await _renew_for_ever(pool, lease)
        except LeaseLostError as error:
            lost.append(error)
            ending.reschedule(0.0)

    keeping = asyncio.create_task(keep())
    try:
        async with ending:
            yield
    except TimeoutError:
        if ending.expired():
            raise lost[0] from None
        raise
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        with suppress(psycopg.Error):
            async with pool.connection() as connection:
                await connection.execute(_QUERIES["release"], {"name": lease.name, "token": lease.token})


async def _renew_for_ever(pool: Pool, lease: Lease) -> None:
    while True:
        await asyncio.sleep(lease.pause)
        try:
            async with asyncio.timeout(lease.pause), pool.connection() as connection:
                until = await lease.asked(connection)
            # Not before it is committed: another process may take what was not renewed.
            lease.trust(until)
        except (psycopg.Error, TimeoutError) as error:
            log.warning("lease.not_renewed", lease=lease.name, reason=type(error).__name__)
            lease.check()


@asynccontextmanager
async def autocommitting(connection: Connection) -> AsyncIterator[None]:
    """Let each statement be a transaction of its own: one that only reads goes to Postgres once, not three times."""
    await connection.set_autocommit(True)
    try:
        yield
    finally:
        try:
            await connection.set_autocommit(False)
        except psycopg.Error:
            # Whoever gets it from the pool next relies on transactions.
            await connection.close()
            raise


def now() -> float:
    """Seconds on a clock that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
