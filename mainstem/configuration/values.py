"""The kinds of value that a key can hold. A refusal is a sentence that says what is expected, never what was given."""

import ipaddress
import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from mainstem.configuration.faults import nearest
from schemas.refs import KIND
from schemas.topics import CONNECTOR_ID, RESERVED_CONNECTORS

_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([smhd]?)")
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION_SENTENCE = "a duration is seconds or 90s, 15m, 24h, 7d"
_CRON = re.compile(r"(?:[0-9A-Za-z*/,#?-]+\s+){4}[0-9A-Za-z*/,#?-]+")
_CRON_SENTENCE = "a schedule has five fields: minute hour day month weekday, as in */15 * * * *"
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z][a-z0-9]*)*")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
_PREFIX = re.compile(r"(?=.{1,100}\Z)[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")
_SERVER = re.compile(r"(?:[A-Za-z]+://)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})")
_MAX_PORT = 65_535


def parse_duration(value: Any) -> timedelta:
    """Read a number of seconds, or 90s, 15m, 24h, 7d; raise ValueError for anything else, negatives included."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(str(value).strip())
    if match is None or isinstance(value, bool):
        raise ValueError(_DURATION_SENTENCE)
    try:
        return timedelta(seconds=float(match[1]) * _UNIT_SECONDS[match[2]])
    except OverflowError:
        raise ValueError("a duration is shorter than a million years") from None


def between(low: timedelta, high: timedelta, sentence: str) -> Callable[[timedelta], timedelta]:
    """Return a validator that refuses with *sentence* what lies outside of *low* to *high*, both included."""

    def check(value: timedelta) -> timedelta:
        if not low <= value <= high:
            raise ValueError(sentence)
        return value

    return check


def _whole_seconds(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1) or value.microseconds:
        raise ValueError("must be whole seconds, at least 1s")
    return value


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 - pydantic collects ValueErrors
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty; write a value or remove the key")
    return value


def not_empty(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse an empty list. (pydantic's own min_length also counts items that were refused.)"""
    if not value:
        raise ValueError("must not be empty")
    return value


def _matching(pattern: re.Pattern[str], sentence: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(sentence)
        return value

    return check


def _unreserved(value: str) -> str:
    if value in RESERVED_CONNECTORS:
        raise ValueError("this id is reserved (override and manual are Mainstem's own); choose another")
    return value


def _comes(value: str) -> str:
    try:
        CronSim(value, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"its {str(error).removeprefix('Bad ')} is none that comes; see crontab(5)") from None
    return value


def _time_zone(value: str) -> str:
    try:
        if value != "UTC":  # which is known also where the tables of zones are not installed
            zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = nearest(value, zoneinfo.available_timezones())
        remedy = f"; did you mean {near}?" if near else ""
        raise ValueError(f"must be the name of a time zone, such as Europe/Berlin{remedy}") from None
    return value


def snake_case_keys(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse a key that is not in snake_case: each has one spelling in camelCase."""
    for key in value:
        if not _SNAKE_CASE.fullmatch(key):
            raise ValueError(f"its keys are in snake_case, such as owner_team; {key} is not")
    return value


def _servers(value: str) -> str:
    for server in value.split(","):
        match = _SERVER.fullmatch(server.strip())
        if match is None or not 0 < int(match[1]) <= _MAX_PORT:
            raise ValueError("must be host:port, or several of them separated by commas")
    return value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address such as https://backstage.acme.com")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be an address without user, password, ? and #")
    return value.rstrip("/")


def _readable(value: str, info: ValidationInfo) -> str:
    path = (info.context or {}).get("base_dir", Path()) / _not_blank(value)
    try:
        path.open("rb").close()
    except (OSError, ValueError):
        raise ValueError("must be a file that can be read; its path is relative to the configuration file") from None
    return str(path)


def is_loopback(host: str) -> bool:
    """Say whether *host* can be reached from this machine alone: 127.0.0.0/8, ::1 or localhost."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
WholeSeconds = Annotated[Duration, AfterValidator(_whole_seconds)]
Integer = Annotated[int, BeforeValidator(_no_bool)]
Long = Annotated[Integer, Field(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[Integer, Field(ge=1, le=2**31 - 1)]
Percent = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=100)]
Text = Annotated[str, AfterValidator(_not_blank)]
Cron = Annotated[str, AfterValidator(_matching(_CRON, _CRON_SENTENCE)), AfterValidator(_comes)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Kind = Annotated[
    str, AfterValidator(_matching(KIND, "a kind is letters and digits, such as component")), AfterValidator(str.lower)
]
Pointer = Annotated[str, AfterValidator(_matching(_POINTER, "must be a JSON pointer, such as /spec/owner"))]
TenantId = Annotated[
    str, AfterValidator(_matching(CONNECTOR_ID, "a tenant's id is 1 to 63 lower-case letters, digits and dashes"))
]
ConnectorId = Annotated[
    str,
    AfterValidator(_matching(CONNECTOR_ID, "a connector's id is 1 to 63 lower-case letters, digits and dashes")),
    AfterValidator(_unreserved),
]
TopicPrefix = Annotated[
    str,
    AfterValidator(
        _matching(_PREFIX, "a prefix is up to 100 letters, digits, dashes and underscores, parts joined by .")
    ),
]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Servers = Annotated[str, AfterValidator(_servers)]
File = Annotated[str, AfterValidator(_readable)]
"""A file that is there; its path, from here."""
