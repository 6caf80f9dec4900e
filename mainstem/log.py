"""Logs: events for people on a terminal, JSON lines elsewhere; always on standard error."""

import logging
import os
import sys
from typing import Any, TextIO

import structlog


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
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
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
