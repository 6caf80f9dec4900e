"""The database: made and checked by migrations, named in messages without its password."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import stamina
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from schemas.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_CONNECT_SECONDS: Final = 10
_ATTEMPTS: Final = 5
_REFUSALS: Final = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied for database",
    "not permitted to log in",
)


def migrate(dsn: str) -> None:
    """Bring the database to the newest schema. Several processes may do so at once: one does it, the others wait.

    A database that a later version migrated is left as it is: that version keeps it usable for this one.
    """
    from alembic import command  # noqa: PLC0415 - costs 1.2 s of every command if imported above
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - it too

    with _reachable(dsn) as connection:
        if _is_newer(_version(connection)):
            return
        connection.close()
        try:
            # Nothing is left of a try in which this and a version that still runs were in each other's way.
            for attempt in stamina.retry_context(on=_is_deadlock, attempts=_ATTEMPTS, timeout=None):
                with attempt:
                    command.upgrade(_config(lambda: _connect(dsn)), "head")
        except DBAPIError as error:
            if isinstance(error.orig, errors.InsufficientPrivilege):
                told = error.orig.diag.message_primary
                raise UnavailableError(f"{where(dsn)} cannot be migrated: {told}") from None
            raise


def check(dsn: str) -> str | None:
    """Return None when the schema is the newest, or a later version's, else a sentence that says what to do."""
    wanted = _newest()
    with _reachable(dsn) as connection:
        found = _version(connection)
    if found == wanted or _is_newer(found):
        return None
    if found is None:
        return f"{where(dsn)} holds no Mainstem tables; run `mainstem db migrate`"
    return f"{where(dsn)} has schema {found}, {wanted} is needed; run `mainstem db migrate` of the newest version"


def offline_sql() -> str:
    """Return all migrations as one SQL script, for a DBA to run with psql."""
    from alembic import command  # noqa: PLC0415

    config = _config(None)
    config.output_buffer = io.StringIO()
    command.upgrade(config, "head", sql=True)
    return config.output_buffer.getvalue()


def where(dsn: str) -> str:
    """Return `database NAME on HOST:PORT`, without user or password. Raises ConfigError for what is no DSN."""
    found = _parsed(dsn)
    host = found.get("host") or found.get("hostaddr") or "the local socket"
    port = f":{found['port']}" if found.get("port") else ""
    return f"database {found.get('dbname') or found.get('user') or 'postgres'} on {host}{port}"


def refusal(error: Exception, dsn: str) -> UnavailableError | None:
    """Return what to raise when *error* says that the server is there and does not let us in; else None."""
    if not isinstance(error, psycopg.OperationalError) or error.sqlstate:
        return None
    text = str(error)
    if "FATAL:" not in text or not any(phrase in text for phrase in _REFUSALS):
        return None
    return UnavailableError(f"{where(dsn)} refuses us: {text.rpartition('FATAL:')[2].strip()}")


@contextmanager
def sentences(dsn: str) -> Iterator[None]:
    """Raise UnavailableError for whatever psycopg raises meanwhile; it never quotes a value."""
    try:
        yield
    except psycopg.Error as error:
        raise refusal(error, dsn) or UnavailableError(f"{where(dsn)} {_trouble(error)}") from None


def _trouble(error: psycopg.Error) -> str:
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return "holds no Mainstem tables, or not all of them; run `mainstem db migrate`"
    if isinstance(error, errors.InsufficientPrivilege):
        return f"does not allow it ({error.diag.message_primary}): grant it to the user of postgres.dsn"
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return "is read-only, as a standby is: name the primary in postgres.dsn"
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return "does not answer: start it, or correct postgres.dsn"
    return f"does not do what was asked: {type(error).__name__} ({error.sqlstate or 'no code'})"


def _is_deadlock(error: Exception) -> bool:
    return isinstance(getattr(error, "orig", None), errors.DeadlockDetected)


def _connect(dsn: str) -> psycopg.Connection:
    _parsed(dsn)
    return psycopg.connect(dsn, connect_timeout=_CONNECT_SECONDS)


def _reachable(dsn: str) -> psycopg.Connection:
    try:
        return _connect(dsn)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise refusal(error, dsn) or UnavailableError(f"{where(dsn)} cannot be reached: {reason}") from None


def _parsed(dsn: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:  # its text may quote the password
        raise ConfigError(
            "postgres.dsn is no connection string; it looks like postgresql://user@host:5432/name"
        ) from None


def _version(connection: psycopg.Connection) -> str | None:
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _newest() -> str:
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return ScriptDirectory.from_config(_config(None)).get_current_head() or ""


def _is_newer(found: str | None) -> bool:
    """Whether a later version than this one migrated the database: revisions are numbers that count up."""
    return found is not None and found > _newest()


def _config(connect: Callable[[], psycopg.Connection] | None) -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connect"] = connect
    return config
