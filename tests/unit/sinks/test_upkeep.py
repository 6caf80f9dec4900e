"""What a runner does beside carrying records on, before any broker has answered."""

import time

import pytest
from prometheus_client import CollectorRegistry

from schemas.metrics import SinkMetrics
from schemas.topics import Topics
from sinks.base import Limits, Sink, SinkSettings
from sinks.membership import Membership
from sinks.placement import Placement
from sinks.upkeep import Upkeep

AT = ("mainstem.entities", 3)


SETTINGS = SinkSettings(name="silent", client={"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, topics=Topics())


class Silent(Sink):
    def write(self, batch, positions):
        raise AssertionError(batch, positions)


@pytest.fixture
def group():
    found = Membership(SETTINGS, metrics=SinkMetrics("silent", CollectorRegistry()), limits=Limits())
    yield found
    found.consumer.close()


def test_a_partition_that_was_revoked_during_its_rebuild_is_left_to_its_next_owner(group):
    metrics = SinkMetrics("silent", CollectorRegistry())
    upkeep = Upkeep(Silent(SETTINGS), group, metrics, lambda act: act(), time.monotonic)
    upkeep.begin(Placement(offsets={AT: 0}, rebuilding={AT: 0}, epochs={}, is_stored=True))
    group.positions = {AT: 0}
    group._revoked(group.consumer, [])

    upkeep.run()

    assert (upkeep.is_rebuilding(*AT), group.positions) == (True, {})
