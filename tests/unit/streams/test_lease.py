"""The lease: a worker that may have been replaced without knowing it writes nothing."""

import asyncio
import time
from dataclasses import dataclass

import pytest

from streams.lease import Lease, LeaseLostError

SESSION = 0.4


@dataclass
class HeartbeatRequest_v1:  # noqa: N801 - named as aiokafka names its requests
    takes: float = 0.0
    error_code: int = 0


@dataclass
class ProduceRequest_v1:  # noqa: N801 - the same
    error_code: int = 0


class Client:
    """The seam: what aiokafka's client offers to those who send."""

    def __init__(self):
        self.sent = []
        self.pause = 0.0

    async def ready(self, _node):
        await asyncio.sleep(self.pause)

    async def send(self, _node, request):
        self.sent.append(request)
        await asyncio.sleep(getattr(request, "takes", 0.0))
        return request


@pytest.fixture
def clients():
    """Return the client of a group's member, whose heartbeats renew a lease, and that of a producer it guards."""
    lease, group, writer = Lease(SESSION), Client(), Client()
    lease.renewed_by(group)
    lease.guards(writer)
    return group, writer


def sends(client, request):
    asyncio.run(client.send(0, request))


def test_without_a_heartbeat_nothing_is_written(clients):
    _, writer = clients
    with pytest.raises(LeaseLostError):
        sends(writer, ProduceRequest_v1())
    assert writer.sent == []


def test_after_a_heartbeat_writing_goes_on_for_less_than_the_session(clients):
    group, writer = clients
    sends(group, HeartbeatRequest_v1())
    sends(writer, ProduceRequest_v1())
    time.sleep(SESSION)
    with pytest.raises(LeaseLostError):
        sends(writer, ProduceRequest_v1())
    assert len(writer.sent) == 1


def test_a_heartbeat_counts_from_when_it_was_sent_not_from_its_answer(clients):
    group, writer = clients
    sends(group, HeartbeatRequest_v1(takes=SESSION))
    with pytest.raises(LeaseLostError):
        sends(writer, ProduceRequest_v1())


def test_a_heartbeat_that_was_refused_renews_nothing(clients):
    group, writer = clients
    sends(group, HeartbeatRequest_v1(error_code=25))
    with pytest.raises(LeaseLostError):
        sends(writer, ProduceRequest_v1())


def test_a_lease_that_ends_while_a_connection_is_waited_for_is_noticed(clients):
    group, writer = clients
    writer.pause = SESSION
    sends(group, HeartbeatRequest_v1())
    with pytest.raises(LeaseLostError):
        sends(writer, ProduceRequest_v1())
    assert writer.sent == []


def test_a_request_that_writes_nothing_needs_no_lease(clients):
    _, writer = clients
    sends(writer, HeartbeatRequest_v1())
    assert len(writer.sent) == 1
