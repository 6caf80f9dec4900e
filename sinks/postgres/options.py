"""What `sinks.postgres` says, read once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from schemas.errors import ConfigError

DEFAULT_KEPT: Final = timedelta(days=90)
_KNOWN: Final = ("enabled", "keep_history")
_DURATION: Final = re.compile(r"(\d{1,9})([smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LEAST: Final = timedelta(days=1)
_MOST: Final = timedelta(days=3_650)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    keep_history: timedelta = DEFAULT_KEPT
    """How long changes stay in `entity_history`."""


def read_options(given: Mapping[str, Any]) -> Options:
    """Raises ConfigError for what cannot be used."""
    if unknown := sorted(set(given) - set(_KNOWN)):
        raise ConfigError(f"sinks.postgres.{unknown[0]}: unknown key; known are {', '.join(_KNOWN)}")
    return Options(keep_history=_kept(given.get("keep_history", "90d")))


def _kept(said: Any) -> timedelta:
    match = None if isinstance(said, bool) else _DURATION.fullmatch(str(said).strip())
    kept = timedelta(seconds=int(match[1]) * _SECONDS[match[2]]) if match else timedelta()
    if not _LEAST <= kept <= _MOST:
        raise ConfigError("sinks.postgres.keep_history must be a duration from 1d to 3650d, such as 90d")
    return kept
