"""A member that gets no partitions, by what librdkafka says of itself."""

import json

import pytest
from prometheus_client import CollectorRegistry

from schemas.errors import UnavailableError
from schemas.metrics import SinkMetrics
from schemas.topics import Topics
from sinks.base import Limits, SinkSettings
from sinks.kafka import LOOKS_IN_VAIN
from sinks.membership import Membership

SETTINGS = SinkSettings(name="silent", client={"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, topics=Topics())


@pytest.fixture
def member():
    limits = Limits(wait=0.01)
    found = Membership(SETTINGS, metrics=SinkMetrics("silent", CollectorRegistry()), limits=limits)
    found.join(["mainstem.entities"])
    yield found
    found.consumer.close()


def _look(member, join_state, *, broker="UP", times=LOOKS_IN_VAIN):
    for _ in range(times):
        member._looked(json.dumps({"brokers": {"one": {"state": broker}}, "cgrp": {"join_state": join_state}}))


def test_a_member_that_no_longer_asks_for_partitions_is_given_up(member):
    _look(member, "wait-unassign-to-complete")

    with pytest.raises(UnavailableError, match="no longer asks"):
        member.gather()


@pytest.mark.parametrize(
    ("join_state", "broker", "times"),
    [
        ("wait-join", "UP", LOOKS_IN_VAIN),  # the broker waits for other members, for minutes
        ("wait-sync", "UP", LOOKS_IN_VAIN),
        ("init", "DOWN", LOOKS_IN_VAIN),
        ("init", "UP", LOOKS_IN_VAIN - 1),
    ],
)
def test_a_member_that_may_yet_get_some_waits(member, join_state, broker, times):
    _look(member, join_state, broker=broker, times=times)

    assert not member.gather().ends


def test_a_member_for_which_there_are_no_partitions_waits(member):
    member._assigned(member.consumer, [])
    _look(member, "steady")

    assert not member.gather().ends
