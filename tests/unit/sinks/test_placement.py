"""Where a sink begins to read, and what runs it."""

import pytest

from schemas.errors import ConfigError, TopicMismatchError
from schemas.plugins import find
from sinks.base import Sink
from sinks.incidents import IncidentsSink
from sinks.placement import Start, begin
from sinks.postgres.sink import PostgresSink
from sinks.registry import GROUP

AT = ("mainstem.entities", 3)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, Start(offset=10)),
        (4, Start(offset=10, missed=6)),
        (10, Start(offset=10)),
        (20, Start(offset=20)),
    ],
)
def test_reading_begins_where_it_ended_or_at_what_is_left(stored, expected):
    assert expected == begin(AT, stored, low=10, high=20, sink="postgres")


def test_an_offset_beyond_the_end_says_that_the_topic_was_replaced():
    with pytest.raises(TopicMismatchError, match=r"mainstem\.entities partition 3 .* was replaced"):
        begin(AT, 21, low=10, high=20, sink="postgres")


@pytest.mark.parametrize(("name", "expected"), [("incidents", IncidentsSink), ("postgres", PostgresSink)])
def test_built_in_sinks_are_found_like_any_other(name, expected):
    assert expected is find(GROUP, name, Sink)


def test_an_unknown_sink_is_refused_with_what_is_installed():
    with pytest.raises(ConfigError, match=r"no sink backstge; installed are: .*incidents, postgres"):
        find(GROUP, "backstge", Sink)
