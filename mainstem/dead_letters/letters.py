"""One dead letter: what it is, which are meant, and whether it can be replayed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Self

from schemas.dead_letters import SetAside, read_headers
from schemas.errors import ConfigError
from schemas.topics import FORWARDED_FROM, MAX_CHANGE_BYTES, TOMBSTONE_MS, Topics
from sources.publisher import Draft

_ID: Final = re.compile(r"(\d{1,9})/(\d{1,18})")
_SINK: Final = "sink:"


@dataclass(frozen=True, slots=True, order=True)
class LetterId:
    """Where a dead letter lies on its topic; written `partition/offset`."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        found = _ID.fullmatch(text) if text.isascii() else None
        if found is None:
            raise ConfigError(f"{text!r} is no dead letter: it is named by partition and offset, as in 3/42")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record of the dead letters. *at*: when it was set aside, epoch ms. *aside*: None = it is not one of ours."""

    id: LetterId
    at: int
    key: bytes | None
    value: bytes | None
    aside: SetAside | None
    headers: Sequence[tuple[str, bytes | None]]
    """Those of the original record."""

    @classmethod
    def of(cls, message: Any) -> Self:
        """Return what a Kafka message holds."""
        aside, headers = read_headers(message.headers() or ())
        place = LetterId(message.partition(), message.offset())
        at = message.timestamp()[1]
        return cls(id=place, at=at, key=message.key(), value=message.value(), aside=aside, headers=headers)

    @property
    def key_text(self) -> str:
        return (self.key or b"").decode(errors="backslashreplace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters are meant: all that is set must hold, one of each list. Times are epoch ms."""

    topics: frozenset[str] = frozenset()
    stages: tuple[str, ...] = ()
    errors: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()
    reason: str = ""
    since: int | None = None
    until: int | None = None

    @property
    def is_empty(self) -> bool:
        return self == Filter()

    def matches(self, letter: DeadLetter) -> bool:
        aside = letter.aside
        if self.topics and (aside is None or aside.topic not in self.topics):
            return False
        if self.stages and not any(fnmatchcase(aside.stage if aside else "", each) for each in self.stages):
            return False
        if self.errors and (aside is None or aside.error.lower() not in self.errors):
            return False
        if self.reason and (aside is None or self.reason.lower() not in aside.reason.lower()):
            return False
        key = letter.key_text.lower()
        if self.keys and not any(
            fnmatchcase(text, each) for each in self.keys for text in (key, key.partition("|")[2])
        ):
            return False
        return (self.since is None or letter.at >= self.since) and (self.until is None or letter.at < self.until)


def refusal(letter: DeadLetter, topics: Topics, *, now: int, force: bool) -> str | None:
    """Return why *letter* cannot be replayed, None when it can."""
    aside = letter.aside
    if aside is None:
        return "its headers do not say where it came from"
    if aside.stage.startswith(_SINK):
        sink = aside.stage.removeprefix(_SINK)
        return f"the sink {sink} set it aside, behind the processor: `mainstem sinks rebuild {sink}` reads it again"
    if topics.connector_of(aside.topic) is None:
        return f"it came from {aside.topic}, which is no changes topic of this installation"
    if len(letter.value or b"") > MAX_CHANGE_BYTES:
        return f"its value has more than {MAX_CHANGE_BYTES} bytes: its topic does not take it"
    if now - aside.timestamp > TOMBSTONE_MS and not force:
        return (
            "it is older than 7 days, for which deletes are remembered: what was deleted since may come back."
            " --force replays it"
        )
    return None


def replayed(letter: DeadLetter) -> Draft:
    """Return the change as it came first: key, value, headers, time, and the origin that names it from now on."""
    aside = letter.aside
    assert aside is not None
    headers = [(name, value) for name, value in letter.headers if name != FORWARDED_FROM]
    return Draft(
        entity_ref=letter.key_text,
        key=letter.key,
        value=letter.value,
        headers=[*headers, (FORWARDED_FROM, aside.origin.encode())],
        timestamp=aside.timestamp,
    )
