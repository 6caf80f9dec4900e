"""What `connection` says of a system that is read over HTTP: where it is, and who we are there.

```yaml
connection:
  base_url: https://backstage.acme.com
  auth: {type: bearer_token, secret_ref: env:BACKSTAGE_TOKEN}   # or {type: none}, the default
```
"""

from collections.abc import Mapping
from typing import Any, Final

import httpx2

from schemas.errors import ConfigError
from sources.base import SourceSettings
from sources.http import HeaderFactory

_AUTH_TYPES: Final = ("bearer_token", "none")


def base_url(settings: SourceSettings, key: str = "base_url") -> str:
    """Return the address under *key*. Raises ConfigError for what no address of an HTTP server is."""
    said = settings.connection.get(key)
    where = f"connector {settings.connector}: connection.{key}"
    try:
        url = httpx2.URL(said) if isinstance(said, str) else None
    except httpx2.InvalidURL:
        url = None
    if url is None or url.scheme not in {"http", "https"} or not url.host:
        raise ConfigError(f"{where} must be an address such as https://backstage.acme.com")
    if url.userinfo:
        raise ConfigError(f"{where} must not hold a user or password; say them in connection.auth")
    if url.query or url.fragment:
        raise ConfigError(f"{where} must end with the path, without ? and #")
    return str(url).rstrip("/")


def auth_headers(settings: SourceSettings) -> HeaderFactory:
    """Return what makes the headers of `connection.auth`, with the secret fetched anew at each call.

    Raises ConfigError for an `auth` that cannot be used; the secret itself is not asked for yet.
    """
    where = f"connector {settings.connector}: connection.auth"
    auth = settings.connection.get("auth") or {"type": "none"}
    if not isinstance(auth, Mapping) or auth.get("type") not in _AUTH_TYPES:
        raise ConfigError(f"{where}.type must be one of {', '.join(_AUTH_TYPES)}")
    known = {"type", "secret_ref"} if auth["type"] == "bearer_token" else {"type"}
    refuse_unknown(auth, known, where)
    if auth["type"] == "none":
        return dict
    ref = auth.get("secret_ref")
    if not isinstance(ref, str) or not ref:
        raise ConfigError(f"{where}.secret_ref must say where the token is, such as env:BACKSTAGE_TOKEN")
    return lambda: {"authorization": f"Bearer {_token(settings, ref)}"}


def refuse_unknown(section: Mapping[str, Any], known: set[str], where: str) -> None:
    """Raise ConfigError for a key of *section* that is not *known*: a misspelt one would be silently without effect."""
    if unknown := sorted(str(key) for key in section.keys() - known):
        raise ConfigError(f"{where}.{unknown[0]}: unknown key; known are {', '.join(sorted(known))}")


def _token(settings: SourceSettings, ref: str) -> str:
    token = settings.secret(ref).strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        # What refuses it further down repeats it.
        raise ConfigError(f"connector {settings.connector}: the token holds characters that no token has")
    return token
