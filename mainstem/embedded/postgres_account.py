"""Whom Postgres runs as, since it refuses to be root."""

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

from mainstem.embedded.process import Account
from schemas.errors import UnavailableError


def own_name() -> str:
    """Return the name of the user that this program runs as: the only one who may connect."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise UnavailableError(
            f"Postgres needs a user with a name, and user id {os.geteuid()} has none: "
            "add it to the system's users, or configure postgres.dsn"
        ) from None


def choose_account(data: Path, reached: Iterable[Path]) -> Account | None:
    """Return the account for a server with its data in *data*, None for our own. It must reach all of *reached*.

    Data that exists keeps its owner. Nothing on the way is opened to other users: where that account
    cannot pass, it is let through by a capability instead.
    """
    if os.geteuid() != 0:
        if data.exists() and data.stat().st_uid != os.geteuid():
            raise UnavailableError(f"{data} belongs to another user: run as that user, or use another --data-dir")
        return None
    entry = _owner(data) or _existing("postgres", "nobody")
    closed = any(_is_closed(directory, entry.pw_uid) for path in reached for directory in (path, *path.parents))
    return Account(uid=entry.pw_uid, gid=entry.pw_gid, reach=closed)


def _owner(data: Path) -> pwd.struct_passwd | None:
    if not data.exists() or data.stat().st_uid == 0:
        return None
    try:
        return pwd.getpwuid(data.stat().st_uid)
    except KeyError:
        raise UnavailableError(f"the user who owns {data} is unknown here: use another --data-dir") from None


def _existing(*names: str) -> pwd.struct_passwd:
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise UnavailableError(f"Postgres must not run as root, and there is no user {' or '.join(names)} to run it as")


def _is_closed(path: Path, uid: int) -> bool:
    if not path.exists():
        return False
    status = path.stat()
    return not status.st_mode & (stat.S_IXUSR if status.st_uid == uid else stat.S_IXOTH)
