"""What a publisher does with a Kafka that answers nothing."""

import socket

import pytest

from schemas.errors import NotAcknowledgedError
from sources.publisher import Publisher, draft
from tests.patience import granted

COUNT = 500
ROOM = 10
"""So many changes the producer takes before it waits: fifty times as many are sent."""


@pytest.fixture
def mute():
    """Yield the address of a broker that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        yield f"{host}:{port}"


def _drafts():
    for number in range(COUNT):
        entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": f"c-{number}"}}
        yield draft({"op": "upsert", "entity": entity}, "git")


def test_more_changes_than_the_producer_holds_are_not_acknowledged_one_after_the_other(mute):
    client = {"bootstrap.servers": mute, "queue.buffering.max.messages": ROOM}
    begun = granted()

    with pytest.raises(NotAcknowledgedError):
        Publisher(client, "changes.git", delivery_ms=1_000).publish(_drafts())

    assert granted() - begun < COUNT / ROOM / 4
