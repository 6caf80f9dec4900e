"""The sink's one connection to Postgres, and what an error on it asks for."""

from typing import Any, Final

import psycopg
import structlog
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from schemas.database import refusal, where
from schemas.errors import MainstemError, Retriable, Skippable, UnavailableError

log = structlog.get_logger(__name__)

_CONNECTION: Final[dict[str, Any]] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# For databases whose DSN sets no options of its own: no batch may outlast the time in which a consumer must poll.
_SESSION: Final = (
    "SET statement_timeout = '60s'; SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'"
)


class Session:
    """Opened when it is first needed, and again after it was lost."""

    def __init__(self, dsn: str, sink: str) -> None:
        self._dsn = dsn
        self._sink = sink
        self._connection: psycopg.Connection | None = None

    def connection(self) -> psycopg.Connection:
        """Return a connection that commits each statement by itself. Raises psycopg.Error."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._dsn, autocommit=True, application_name=f"mainstem-sink-{self._sink}", **_CONNECTION
            )
            if "options" not in conninfo_to_dict(self._dsn):
                self._connection.execute(_SESSION)
            log.info("sink.connected", sink=self._sink, database=where(self._dsn))
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def classified(self, error: psycopg.Error) -> MainstemError | psycopg.Error:
        """Return what to raise. No message holds what Postgres says about a value: it may quote the payload."""
        named = f"{type(error).__name__} ({error.sqlstate or 'no code'})"
        if refused := refusal(error, self._dsn):
            return refused
        if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.InsufficientPrivilege):
            return UnavailableError(f"{where(self._dsn)}: {named}; run `mainstem db migrate`")
        if isinstance(error, psycopg.DataError | psycopg.IntegrityError) or _is_too_large(error):
            return Skippable(f"Postgres cannot hold it: {named}")
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | errors.ReadOnlySqlTransaction):
            # Never used again: it may hang half-way in a pipeline without being closed, or lead to a standby.
            self.close()
            return Retriable(f"{where(self._dsn)}: {named}")
        return error


def _is_too_large(error: psycopg.Error) -> bool:
    """Class 54: a text, a row or a nesting beyond Postgres' limits; it never passes."""
    return (error.sqlstate or "").startswith("54")
