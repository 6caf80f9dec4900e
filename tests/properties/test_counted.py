"""What the processor counts beside what it writes."""

import pytest

from tests.oracle import Connector, Said, World
from tests.properties.changes import EPOCH
from tests.properties.harness import Installation
from tests.properties.test_vanishing import delete, upsert

WORLD = World({"short": Connector(ttl=60), "git": Connector()})


@pytest.fixture
def installation():
    return Installation(WORLD, partitions=1, now=EPOCH)


def counted(installation, name, label):
    """Return the counter's values above zero by *label*."""
    samples = [sample for family in installation.registry.collect() for sample in family.samples]
    found = {sample.labels[label]: sample.value for sample in samples if sample.name == name}
    return {key: value for key, value in found.items() if value}


def ended(installation):
    return [counted(installation, "mainstem_processor_ended_total", label) or None for label in ("connector", "reason")]


def test_a_delete_is_an_end_once_however_often_it_is_repeated(installation):
    installation.say([upsert(), upsert("short")])
    assert ended(installation) == [None, None]
    installation.say([delete(at=1)])
    installation.say([delete(at=2)])
    assert ended(installation) == [{"git": 1}, {"deleted": 1}]


def test_an_expiry_is_an_end_and_a_renewal_puts_it_off(installation):
    installation.say([upsert("short")])
    installation.wait(40)
    installation.say([upsert("short", at=40)])
    installation.wait(40)
    assert ended(installation) == [None, None]
    installation.wait(20)
    installation.wait(9 * 24 * 3600)  # what is forgotten ended before
    assert ended(installation) == [{"short": 1}, {"expired": 1}]


def test_an_entity_that_came_back_can_end_again(installation):
    for at in (0, 10):
        installation.say([upsert(at=at)])
        installation.say([delete(at=at + 5)])
    assert ended(installation) == [{"git": 2}, {"deleted": 2}]


def test_a_delete_of_what_was_never_there_is_no_end(installation):
    installation.say([delete()])
    assert ended(installation) == [None, None]


def test_dead_letters_are_counted_by_stage(installation):
    installation.say([Said("git", EPOCH, {"entity": {"kind": 5}}), Said("git", EPOCH, {"op": "what"})])
    assert counted(installation, "mainstem_processor_dead_letters_total", "stage") == {"validate": 2}
