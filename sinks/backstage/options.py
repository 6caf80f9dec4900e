"""What `sinks.backstage` says, read once.

```yaml
sinks:
  backstage:
    enabled: true
    base_url: https://backstage.acme.com   # what stands before /api/catalog
    auth: {type: bearer_token, secret_ref: env:BACKSTAGE_TOKEN}   # or {type: none}, the default
```
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from schemas.canonical import canonical_json
from schemas.errors import ConfigError
from schemas.refs import DEFAULT_TENANT, KIND
from sinks.base import SinkSettings

DEFAULT_SHARDS: Final = 16
DEFAULT_LOCATION: Final = "mainstem:catalog"
MAX_SHARDS: Final = 1_024

_KNOWN: Final = ("auth", "base_url", "enabled", "kinds", "location", "resync_interval", "shards", "tenant")
_DURATION: Final = re.compile(r"(\d{1,9})([smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LOCATION: Final = re.compile(r"mainstem:[!-~]{1,200}")
"""The source `backstage` knows its own entities again by the prefix."""
_AUTH_TYPES: Final = ("bearer_token", "none")
_TENANT: Final = re.compile(r"[a-z0-9-]{1,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one Backstage."""

    base_url: str
    headers: Callable[[], Mapping[str, str]]
    """Asked before every request: a token is fetched anew and can be exchanged."""
    kinds: frozenset[str] | None
    """Lower-cased; None = all."""
    tenant: str
    shards: int
    resync_seconds: float
    location: str

    @property
    def scope(self) -> str:
        """What is carried on, and as what: partitions that were read with another scope are read anew."""
        kinds = None if self.kinds is None else sorted(self.kinds)
        return canonical_json([kinds, self.tenant, self.shards, self.location]).decode()

    def is_carried(self, tenant: str, kind: str) -> bool:
        return tenant == self.tenant and (self.kinds is None or kind in self.kinds)


def read_options(settings: SinkSettings) -> Options:
    """Raises ConfigError for what cannot be used; the secret itself is not asked for yet."""
    given = settings.options
    if unknown := sorted(set(given) - set(_KNOWN)):
        raise ConfigError(f"sinks.backstage.{unknown[0]}: unknown key; known are {', '.join(_KNOWN)}")
    return Options(
        base_url=_base_url(given.get("base_url")),
        headers=_headers(settings, given.get("auth") or {"type": "none"}),
        kinds=_kinds(given.get("kinds")),
        tenant=_text(given, "tenant", DEFAULT_TENANT, _TENANT, "must be the id of a tenant"),
        shards=_shards(given.get("shards", DEFAULT_SHARDS)),
        resync_seconds=_seconds(given.get("resync_interval", "1h")),
        location=_text(given, "location", DEFAULT_LOCATION, _LOCATION, "must be mainstem: and a name"),
    )


def _base_url(said: Any) -> str:
    where = "sinks.backstage.base_url"
    try:
        url = httpx2.URL(said) if isinstance(said, str) else None
    except httpx2.InvalidURL:
        url = None
    if url is None or url.scheme not in {"http", "https"} or not url.host:
        raise ConfigError(f"{where} must be an address such as https://backstage.acme.com")
    if url.userinfo:
        raise ConfigError(f"{where} must not hold a user or password; say them in sinks.backstage.auth")
    if url.query or url.fragment:
        raise ConfigError(f"{where} must end with the path, without ? and #")
    return str(url).rstrip("/")


def _headers(settings: SinkSettings, auth: Any) -> Callable[[], Mapping[str, str]]:
    where = "sinks.backstage.auth"
    if not isinstance(auth, Mapping) or auth.get("type") not in _AUTH_TYPES:
        raise ConfigError(f"{where}.type must be one of {', '.join(_AUTH_TYPES)}")
    known = {"type", "secret_ref"} if auth["type"] == "bearer_token" else {"type"}
    if unknown := sorted(str(key) for key in auth.keys() - known):
        raise ConfigError(f"{where}.{unknown[0]}: unknown key; known are {', '.join(sorted(known))}")
    if auth["type"] == "none":
        return dict
    ref = auth.get("secret_ref")
    if not isinstance(ref, str) or not ref:
        raise ConfigError(f"{where}.secret_ref must say where the token is, such as env:BACKSTAGE_TOKEN")
    return lambda: {"authorization": f"Bearer {_token(settings, ref)}"}


def _token(settings: SinkSettings, ref: str) -> str:
    token = settings.secret(ref).strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        # What refuses it further down repeats it.
        raise ConfigError("sinks.backstage.auth: the token holds characters that no token has")
    return token


def _kinds(said: Any) -> frozenset[str] | None:
    if said is None:
        return None
    if not isinstance(said, list | tuple) or not all(isinstance(kind, str) and KIND.fullmatch(kind) for kind in said):
        raise ConfigError("sinks.backstage.kinds must be a list of kinds such as [component, api]")
    return frozenset(kind.lower() for kind in said)


def _shards(said: Any) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or not 1 <= said <= MAX_SHARDS:
        raise ConfigError(f"sinks.backstage.shards must be a number from 1 to {MAX_SHARDS}")
    return said


def _seconds(said: Any) -> float:
    match = None if isinstance(said, bool) else _DURATION.fullmatch(str(said).strip())
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if seconds < 1:
        raise ConfigError("sinks.backstage.resync_interval must be seconds, or 90s, 15m, 24h, 7d; at least 1s")
    return float(seconds)


def _text(given: Mapping[str, Any], name: str, default: str, pattern: re.Pattern[str], sentence: str) -> str:
    said = given.get(name, default)
    if not isinstance(said, str) or not pattern.fullmatch(said):
        raise ConfigError(f"sinks.backstage.{name} {sentence}")
    return said
