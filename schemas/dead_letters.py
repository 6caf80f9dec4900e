"""The headers that a dead letter carries beside its original ones. Key and value stay as they came."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schemas.errors import MainstemError

_PREFIX: Final = "mainstem-"
_NAMES: Final = (
    "origin-topic",
    "origin-partition",
    "origin-offset",
    "origin-timestamp",
    "stage",
    "error",
    "reason",
    "attempts",
)
_DIGITS_READ: Final = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """Where a dead letter came from and why it is one, as its headers say."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Epoch ms of the original record."""
    stage: str
    error: str
    reason: str
    attempts: int

    @property
    def origin(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def dead_letter_headers(
    error: MainstemError, *, stage: str, origin: str, timestamp: int, attempts: int
) -> list[tuple[str, bytes]]:
    """Return where the record came from (*origin*: `topic/partition/offset`) and why it could not be used.

    *timestamp*: epoch ms of the original record. *attempts* counts from 1.
    """
    topic, partition, offset = origin.rsplit("/", 2)
    texts = (topic, partition, offset, str(timestamp), stage, type(error).__name__, str(error), str(attempts))
    return [(_PREFIX + name, text.encode()) for name, text in zip(_NAMES, texts, strict=True)]


def read_headers(
    headers: Iterable[tuple[str, bytes | None]],
) -> tuple[SetAside | None, list[tuple[str, bytes | None]]]:
    """Part a dead letter's headers into what we wrote and what was there before; None: they are not ours.

    Ours are the last of their names: an original record may have carried some of the same.
    """
    ours: dict[str, bytes | None] = {}
    original = []
    for name, value in reversed(list(headers)):
        if name.removeprefix(_PREFIX) in _NAMES and name.startswith(_PREFIX) and name not in ours:
            ours[name] = value
        else:
            original.append((name, value))
    texts = [(ours.get(_PREFIX + name) or b"").decode(errors="backslashreplace") for name in _NAMES]
    topic, partition, offset, timestamp, stage, error, reason, attempts = texts
    numbers = [_number(text) for text in (partition, offset, timestamp, attempts)]
    if not topic or not stage or None in numbers:
        return None, original[::-1]
    found = SetAside(
        topic=topic,
        partition=numbers[0] or 0,
        offset=numbers[1] or 0,
        timestamp=numbers[2] or 0,
        stage=stage,
        error=error,
        reason=reason,
        attempts=numbers[3] or 0,
    )
    return found, original[::-1]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_READ else None
