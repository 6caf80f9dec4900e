"""A member whose client has lost sight of every broker, by what librdkafka says of itself."""

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
GROUP = {"source": "logical", "state": "INIT"}


@pytest.fixture
def member():
    limits = Limits(wait=0.01)
    found = Membership(SETTINGS, metrics=SinkMetrics("silent", CollectorRegistry()), limits=limits)
    yield found
    found.consumer.close()


def _look(member, *brokers, times=LOOKS_IN_VAIN):
    for _ in range(times):
        member._looked(json.dumps({"brokers": dict(enumerate(brokers))}))


def test_a_member_whose_client_knows_no_broker_any_more_is_given_up(member):
    _look(member, GROUP)

    with pytest.raises(UnavailableError, match="started again"):
        member.gather()


def test_a_member_whose_brokers_are_down_waits_for_them(member):
    _look(member, GROUP, {"source": "configured", "state": "DOWN"})

    assert not member.gather().ends


def test_a_member_that_knows_brokers_again_goes_on(member):
    _look(member, GROUP, times=LOOKS_IN_VAIN - 1)
    _look(member, {"source": "learned", "state": "UP"}, times=1)
    _look(member, GROUP, times=1)

    assert not member.gather().ends
