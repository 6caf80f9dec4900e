"""A member whose client no longer looks for a broker, by what librdkafka says of itself."""

import json

import pytest
from prometheus_client import CollectorRegistry

from schemas.errors import UnavailableError
from schemas.metrics import SinkMetrics
from schemas.topics import Topics
from sinks import kafka
from sinks.base import Limits, SinkSettings
from sinks.kafka import LOOK_MS, LOOKS_IN_VAIN
from sinks.membership import Membership

SETTINGS = SinkSettings(name="silent", client={"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, topics=Topics())


@pytest.fixture
def member():
    limits = Limits(wait=0.01)
    found = Membership(SETTINGS, metrics=SinkMetrics("silent", CollectorRegistry()), limits=limits)
    yield found
    found.consumer.close()


GROUP = {"source": "logical", "state": "TRY_CONNECT", "stateage": 1}
"""Of the coordinator there is always an entry, and attempts that lead nowhere."""
LONG_AGO = LOOK_MS * 1000


def _broker(state, stateage=LONG_AGO, source="learned"):
    return {"source": source, "state": state, "stateage": stateage}


def _look(member, *brokers, times=LOOKS_IN_VAIN):
    for _ in range(times):
        member._looked(json.dumps({"brokers": dict(enumerate((GROUP, *brokers)))}))


def test_a_member_whose_client_knows_no_broker_any_more_is_given_up(member):
    _look(member)

    with pytest.raises(UnavailableError, match="started again"):
        member.gather()


@pytest.mark.parametrize("state", ["INIT", "TRY_CONNECT"])
def test_a_member_whose_client_tries_none_that_it_knows_is_given_up(member, state):
    _look(member, _broker(state))

    with pytest.raises(UnavailableError, match="started again"):
        member.gather()


@pytest.mark.parametrize(
    "brokers",
    [
        pytest.param([_broker("INIT", 50_000, "configured")], id="refused"),
        pytest.param([_broker("CONNECT")], id="under way"),
        pytest.param([_broker("APIVERSION_QUERY")], id="greeted"),
        pytest.param([_broker("UP"), _broker("INIT")], id="one of two"),
        pytest.param([_broker("UP", source="logical"), _broker("INIT")], id="the coordinator alone"),
    ],
)
def test_a_member_whose_client_tries_to_reach_a_broker_waits_for_it(member, brokers):
    _look(member, *brokers)

    assert not member.gather().ends


def test_a_member_that_is_connected_again_goes_on(member):
    _look(member, times=LOOKS_IN_VAIN - 1)
    _look(member, _broker("UP"), times=1)
    _look(member, times=1)

    assert not member.gather().ends


def test_a_member_of_a_cluster_that_is_away_waits_for_it(monkeypatch):
    monkeypatch.setattr(kafka, "LOOK_MS", 1_100)
    looks = []
    client = {**SETTINGS.client, "reconnect.backoff.max.ms": 1_000}
    consumer = kafka.consumer(client, "away", on_commit=lambda *_: None, on_look=looks.append)
    consumer.subscribe(["mainstem.entities"])
    while len(looks) < LOOKS_IN_VAIN:
        consumer.poll(0.2)
    consumer.close()

    assert all(map(kafka.is_looking, looks))
