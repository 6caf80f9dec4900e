"""Sinks of a broker that said for a while that there are no brokers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client import CollectorRegistry

from mainstem.embedded.ports import free_ports
from schemas.errors import UnavailableError
from schemas.metrics import SinkMetrics
from schemas.topics import Topics
from sinks import kafka as sink_kafka
from sinks.base import Limits, SinkSettings
from sinks.membership import Interrupted, Membership
from tests.faults.broker import ListeningKafka
from tests.faults.metadata import Brokers
from tests.faults.proxy import Network, Proxy, to_port
from tests.patience import granted

TOPIC = "lost"
MEMBERS = 12
ANSWERS = 4
"""Without a broker, for each member."""


@pytest.fixture
def brokers(short_dir: Path) -> Iterator[tuple[ListeningKafka, str, Brokers]]:
    inside, outside = free_ports(2)
    kafka, network, found = ListeningKafka(short_dir / "lost", {"OUTSIDE": (inside, outside)}), Network(), Brokers()
    kafka.start()
    network.open(Proxy(outside, to_port(inside), edit=found.edit))
    admin = AdminClient({"bootstrap.servers": kafka.address})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(20)
    yield kafka, f"127.0.0.1:{outside}", found
    network.close()
    kafka.stop()


def _member(number: int, address: str) -> Membership:
    found = Membership(
        SinkSettings(
            name=f"member-{number}", client={"bootstrap.servers": address, "log_level": 0}, topics=Topics(prefix="m")
        ),
        metrics=SinkMetrics(f"member-{number}", CollectorRegistry()),
        limits=Limits(wait=0.02),
    )
    found.join([TOPIC])
    return found


def _has_read_or_is_given_up(member: Membership) -> bool:
    try:
        read = member.gather()
    except Interrupted:
        return False
    except UnavailableError:
        return True
    if member.unplaced:
        member.begin(dict.fromkeys(member.unplaced, 0))
    return bool(read.ends)


def _left(members: list[Membership], seconds: float) -> list[Membership]:
    """Let all read for so long, or until each has read or is given up; return those of which neither is true."""
    until = granted() + seconds
    while members and granted() < until:
        members = [member for member in members if not _has_read_or_is_given_up(member)]
    return members


def test_a_sink_whose_broker_said_that_there_is_none_goes_on_or_is_given_up(brokers, monkeypatch):
    monkeypatch.setattr(sink_kafka, "LOOK_MS", 500)
    kafka, address, hidden = brokers
    members = [_member(number, address) for number in range(MEMBERS)]
    assert _left(members, 6) == members

    hidden.are_hidden = True
    until = granted() + 60
    while hidden.hidden < ANSWERS * MEMBERS and _left(members, 1) and granted() < until:
        pass
    hidden.are_hidden = False
    producer = Producer({"bootstrap.servers": kafka.address})
    producer.produce(TOPIC, b"said afterwards")
    assert not producer.flush(20)
    left = _left(members, 60)

    for member in members:
        member.consumer.close()
    assert hidden.hidden >= MEMBERS
    assert not left
