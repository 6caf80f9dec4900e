"""The options by which dead letters are chosen."""

import time
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Final

import typer

from mainstem.configuration.faults import did_you_mean
from mainstem.configuration.values import parse_duration
from mainstem.dead_letters.letters import Filter
from schemas.errors import ConfigError
from schemas.topics import CONNECTOR_ID, Topics

_STAGES: Final = ("decode", "validate", "merge")
_SINK: Final = "sink:"
_TIME: Final = "30m, 24h, 7d ago, or a time such as 2026-05-01T10:00:00Z."

ConnectorFilter = Annotated[
    list[str] | None, typer.Option("--connector", metavar="ID", help="Changes of this connector; repeatable.")
]
TopicFilter = Annotated[
    list[str] | None, typer.Option("--topic", metavar="NAME", help="Records that came from this topic; repeatable.")
]
StageFilter = Annotated[
    list[str] | None,
    typer.Option(
        "--stage", metavar="STAGE", help="decode, validate, merge or sink:NAME; * stands for anything; repeatable."
    ),
]
ErrorFilter = Annotated[
    list[str] | None, typer.Option("--error", metavar="CLASS", help="Of this class of error; repeatable.")
]
KeyFilter = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="REF", help="Key or entityRef, in any case; * stands for anything; repeatable."),
]
ReasonFilter = Annotated[str, typer.Option("--reason", metavar="TEXT", help="With these words in the reason.")]
SinceFilter = Annotated[str | None, typer.Option("--since", metavar="TIME", help=f"Set aside since: {_TIME}")]
UntilFilter = Annotated[str | None, typer.Option("--until", metavar="TIME", help=f"Set aside before: {_TIME}")]


def filter_of(
    topics: Topics,
    connector: list[str] | None,
    topic: list[str] | None,
    stage: list[str] | None,
    error: list[str] | None,
    key: list[str] | None,
    *,
    reason: str,
    since: str | None,
    until: str | None,
) -> Filter:
    """Return what the options mean. Raises ConfigError for one that means nothing."""
    for each in connector or ():
        if not CONNECTOR_ID.fullmatch(each):
            raise ConfigError(f"--connector {each}: a connector id is 1 to 63 of a-z, 0-9 and '-'")
    return Filter(
        topics=frozenset([*(topic or ()), *(topics.changes(each) for each in connector or ())]),
        stages=tuple(_known_stage(each) for each in stage or ()),
        errors=frozenset(each.lower() for each in error or ()),
        keys=tuple(each.lower() for each in key or ()),
        reason=reason,
        since=_moment("--since", since),
        until=_moment("--until", until),
    )


def _known_stage(pattern: str) -> str:
    """Return *pattern*. Raises ConfigError for one that no stage can match."""
    is_of_a_sink = pattern.startswith(_SINK) and pattern != _SINK
    is_maybe_of_a_sink = "*" in pattern and _SINK.startswith(pattern.partition("*")[0])
    if not (is_of_a_sink or is_maybe_of_a_sink or any(fnmatchcase(each, pattern) for each in _STAGES)):
        remedy = did_you_mean(pattern, (*_STAGES, f"{_SINK}NAME"), among="stages")
        raise ConfigError(f"--stage {pattern}: there is no such stage; {remedy}")
    return pattern


def _moment(option: str, text: str | None) -> int | None:
    """Return epoch ms. A time without a zone is UTC."""
    if text is None:
        return None
    try:
        return round(time.time() * 1000 - parse_duration(text).total_seconds() * 1000)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: {_TIME[:-1]}") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
