"""`connection` of type `git` where it names a remote repository, parsed and checked without asking anybody.

```yaml
connection:
  url: https://git.acme.example/platform/catalogue.git   # or ssh://git@host/path, git@host:path, file:///path
  ref: main                  # a branch, a tag or a commit; absent: what the remote's HEAD names
  subdir: services           # absent: the whole repository
  auth: {type: token, secret_ref: "env:GIT_TOKEN", username: x-access-token}
  # or:  {type: ssh_key, secret_ref: "file:/run/secrets/key", known_hosts: ./known_hosts}
```
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from schemas.errors import ConfigError
from sources.base import SourceSettings

KEYS: Final = frozenset({"url", "ref", "subdir", "auth", "documents"})

_SCP: Final = re.compile(r"(?:(?P<user>[\w.+-]+)@)?(?P<host>[\w.-]+):(?P<path>(?!//)\S+)")
_AUTH_KEYS: Final = {
    "token": frozenset({"type", "secret_ref", "username"}),
    "ssh_key": frozenset({"type", "secret_ref", "known_hosts"}),
}
_REF: Final = re.compile(r"(?!-)[^\s\x00-\x1f~^:?*\[\\]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Who we are to the remote. The secret itself is fetched for each connection, and kept nowhere."""

    type: str
    secret_ref: str
    username: str = "x-access-token"
    """Of a token. What GitHub wants; GitLab takes any."""
    known_hosts: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A repository elsewhere, and what of it is read."""

    url: str
    """Without any secret: it may be shown."""
    scheme: str
    host: str
    port: int | None
    user: str | None
    """Of `ssh` alone."""
    path: str
    ref: str | None
    subdir: str
    auth: Auth | None


def parsed(settings: SourceSettings) -> Remote:
    """Raises ConfigError that names the key and says what to write instead; it repeats no value of it."""
    connection, whose = settings.connection, f"connector {settings.connector}: connection"
    if unknown := sorted(connection.keys() - KEYS):
        raise ConfigError(f"{whose}.{unknown[0]}: unknown key; with url known are {', '.join(sorted(KEYS))}")
    scheme, parts, path = _address(whose, connection["url"])
    auth = _auth(whose, scheme, connection.get("auth"), settings.base_dir)
    if auth is not None and scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ConfigError(f"{whose}.url: a token goes over https alone; begin it with https://")
    if scheme == "ssh" and auth is None:
        raise ConfigError(f"{whose}.auth: an ssh address needs {{type: ssh_key, secret_ref: …, known_hosts: FILE}}")
    return Remote(
        url=connection["url"],
        scheme=scheme,
        host=parts.hostname or "",
        port=_port(whose, parts),
        user=parts.username if scheme == "ssh" else None,
        path=path,
        ref=_ref(whose, connection.get("ref")),
        subdir=_subdir(whose, connection.get("subdir", "")),
        auth=auth,
    )


def _address(whose: str, url: Any) -> tuple[str, SplitResult, str]:
    """Return scheme, parts and path; the path of a short ssh address begins at the user's home."""
    if not isinstance(url, str) or not url.isprintable():
        raise ConfigError(f"{whose}.url must be a text")
    if "://" not in url and (short := _SCP.fullmatch(url)):
        user = f"{short['user']}@" if short["user"] else ""
        return "ssh", urlsplit(f"ssh://{user}{short['host']}"), short["path"]
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(f"{whose}.url cannot be read") from None
    if parts.scheme not in ("https", "http", "ssh", "file"):
        raise ConfigError(f"{whose}.url must begin with https://, ssh:// or file://, or be git@host:path")
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        raise ConfigError(f"{whose}.url holds a user or password; give them by connection.auth")
    if parts.query or parts.fragment:
        raise ConfigError(f"{whose}.url: an address of a repository has no ? and no #")
    if not parts.path.strip("/") or (parts.scheme != "file" and not parts.hostname):
        raise ConfigError(f"{whose}.url must name a host and a path, as https://git.acme.example/team/catalogue.git")
    if parts.scheme == "file" and parts.netloc:
        raise ConfigError(f"{whose}.url: file:// is followed by an absolute path, as file:///srv/catalogue.git")
    return parts.scheme, parts, parts.path


def _port(whose: str, parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ConfigError(f"{whose}.url: the port is none") from None


def _auth(whose: str, scheme: str, stated: Any, base_dir: Path) -> Auth | None:
    if stated is None:
        return None
    kind = stated.get("type") if isinstance(stated, Mapping) else None
    if not isinstance(stated, Mapping) or kind not in _AUTH_KEYS:
        raise ConfigError(f"{whose}.auth.type must be token or ssh_key")
    if unknown := sorted(stated.keys() - _AUTH_KEYS[kind]):
        raise ConfigError(f"{whose}.auth.{unknown[0]}: unknown key of type {kind}")
    if (kind == "token") != (scheme in ("https", "http")) or scheme == "file":
        raise ConfigError(f"{whose}.auth: a token is for https://, a key for ssh://; this address takes no {kind}")
    for key in sorted(_AUTH_KEYS[kind] - {"type", "username"}):
        if not isinstance(stated.get(key), str) or not stated[key]:
            raise ConfigError(f"{whose}.auth.{key} is required: {_WANTED[key]}")
    username = stated.get("username", "x-access-token")
    if not isinstance(username, str) or not username or ":" in username or not username.isprintable():
        raise ConfigError(f"{whose}.auth.username must be a text without a colon")
    known_hosts = base_dir / stated["known_hosts"] if kind == "ssh_key" else None
    return Auth(type=kind, secret_ref=stated["secret_ref"], username=username, known_hosts=known_hosts)


_WANTED: Final = {
    "secret_ref": "env:NAME or file:PATH",
    "known_hosts": "a file with the host's key, as `ssh-keyscan HOST` prints it",
}


def _ref(whose: str, stated: Any) -> str | None:
    if stated is None or (isinstance(stated, str) and _REF.fullmatch(stated) and ".." not in stated):
        return stated
    raise ConfigError(f"{whose}.ref must be the name of a branch or tag, or a commit; write it in quotes")


def _subdir(whose: str, stated: Any) -> str:
    if not isinstance(stated, str) or ".." in stated.split("/"):
        raise ConfigError(f"{whose}.subdir must name a directory of the repository")
    return "/".join(part for part in stated.split("/") if part not in ("", "."))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
