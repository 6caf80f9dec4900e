"""What people on a terminal are told of a fault that nobody expected, and how often of one that lasts."""

import contextlib
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


def test_a_warning_that_lasts_is_told_once_in_a_while(stream):
    library, own = logging.getLogger("library"), structlog.get_logger()
    for second in range(25):
        library.warning("node %s is away", second)
        own.warning("kafka.trouble", reason="1/1 brokers are down")
    assert len(stream.getvalue().splitlines()) == 2


def test_what_was_held_back_is_counted_where_it_is_told_again():
    now = 0.0
    library, own = log.Repeats(lambda: now), log.Repeats(lambda: now)
    told = []
    for second in range(25):
        now = float(second)
        record = logging.makeLogRecord({"name": "library", "msg": "node %s is away", "args": (second,)})
        if library.filter_record(record):
            told.append(record.getMessage())
        with contextlib.suppress(structlog.DropEvent):
            told.append(own.filter_event(None, "warning", {"event": "away", "timestamp": str(second)}))
    assert told == [
        "node 0 is away",
        {"event": "away", "timestamp": "0"},
        "node 10 is away (and 9 times more since it was last told)",
        {"event": "away", "timestamp": "10", "repeated": 9},
        "node 20 is away (and 9 times more since it was last told)",
        {"event": "away", "timestamp": "20", "repeated": 9},
    ]


def test_what_differs_in_a_field_or_is_no_warning_is_told_each_time(stream):
    own = structlog.get_logger()
    for topic in ("a", "b"):
        own.warning("topic.away", topic=topic)
        own.info("sink.written")
        logging.getLogger("library").warning("topic %s is away", topic)
    assert len(stream.getvalue().splitlines()) == 6


def test_another_fault_under_the_same_sentence_is_told(stream):
    for cause in ("a", "b", "b"):
        logging.getLogger("library").error("crashed", exc_info=ValueError(cause))
    assert [stream.getvalue().count(f"ValueError: {cause}") for cause in ("a", "b")] == [1, 1]
