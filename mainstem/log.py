"""Logs: events for people on a terminal, JSON lines elsewhere; always on standard error."""

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Hashable
from typing import Any, Final, TextIO

import structlog

QUIET_SECONDS: Final = 10.0
"""A warning that was just said is not said again before."""
_MOST: Final = 1_000
_NUMBER: Final = re.compile(r"\d+")


class Repeats:
    """Holds back what was just said: of a broker that is away, each client warns dozens of times a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[Hashable, tuple[float, int]] = {}

    def since(self, said: Hashable) -> int | None:
        """Return how often *said* was held back since it passed; None while it is held back."""
        now = self._clock()
        last, count = self._said.get(said, (-QUIET_SECONDS, 0))
        if now < last + QUIET_SECONDS:
            self._said[said] = last, count + 1
            return None
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[said] = now, 0
        return count

    def filter_event(self, _: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Hold back a warning whose every field was just said. A processor of structlog."""
        if method in ("warning", "error"):
            told = {name: value for name, value in event.items() if name != "timestamp"}
            count = self.since(repr(told))
            if count is None:
                raise structlog.DropEvent
            if count:
                event["repeated"] = count
        return event

    def filter_record(self, record: logging.LogRecord) -> bool:
        """Whether a library's *record* passes: numbers apart, it was not just said. A filter of :mod:`logging`."""
        fault = repr(record.exc_info[1]) if record.exc_info else None
        count = self.since((record.name, record.levelno, fault, _NUMBER.sub("#", record.getMessage())))
        if count:
            record.msg, record.args = f"{record.getMessage()} (and {count} times more since it was last told)", ()
        return count is not None


def configure(*, level: int = logging.INFO, stream: TextIO | None = None, json: bool | None = None) -> None:
    """Send every log event to *stream*. *json* defaults to whether that is no terminal."""
    stream = stream or sys.stderr
    as_json = not stream.isatty() if json is None else json
    colors = not as_json and "NO_COLOR" not in os.environ
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # A traceback is told without local variables: they are hundreds of lines, and hold payloads and secrets.
    console = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = structlog.processors.JSONRenderer() if as_json else console
    repeats = Repeats()
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, repeats.filter_event, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(repeats.filter_record)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)


def log_end(error: Exception) -> None:
    """Tell why the program ends: one sentence, its last line."""
    sys.stderr.write(f"mainstem: {error}\n")
    sys.stderr.flush()


def warn(sentence: str) -> None:
    """Tell the person who started the program something that does not stop it."""
    sys.stderr.write(f"mainstem: warning: {sentence}\n")
