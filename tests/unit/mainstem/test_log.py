"""What people on a terminal are told of a fault that nobody expected."""

import io
import logging
import os

import pytest
import structlog

from mainstem import log


@pytest.fixture
def stream():
    root = logging.getLogger()
    handlers, level, configured = root.handlers, root.level, structlog.get_config()
    written = io.StringIO()
    log.configure(stream=written, json=False)
    yield written
    structlog.configure(**configured)
    root.handlers = handlers
    root.setLevel(level)


def _fail():
    password = os.environ["PASSWORD"]
    raise RuntimeError(f"{len(password)} letters")


def test_a_traceback_shows_no_local_variable(stream, monkeypatch):
    monkeypatch.setenv("PASSWORD", "hunter2")
    try:
        _fail()
    except RuntimeError:
        logging.getLogger("library").exception("crashed")
        structlog.get_logger().exception("role.crashed")
    written = stream.getvalue()
    assert (written.count("RuntimeError: 7 letters"), "hunter2" in written) == (2, False)
