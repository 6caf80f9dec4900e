"""A policy or an outage that comes late ends where one that was there from the start does."""

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.oracle import Connector, Said, World, entities
from tests.properties.changes import EPOCH, histories, outages, worlds
from tests.properties.harness import Installation

WAITS = (0, 300, 600, 3600, 7200, 9000, 13_500)


@given(worlds, histories(), outages, st.randoms(use_true_random=False), st.sampled_from(WAITS))
def test_outages_said_among_the_changes_in_any_order_are_the_oracles(world, history, away, random, waited):
    words = [(op, name, at) for name, of in away.items() for ends in of for op, at in zip(OPS, ends, strict=True)]
    said = [*history, *(word for word in words if word[2] != float("inf"))]
    random.shuffle(said)
    installation = Installation(World(world.connectors), now=EPOCH)
    for one in said:
        installation.hear(*one) if isinstance(one, tuple) and one in words else installation.say([one])
    installation.wait(waited)
    installation.roll_out()
    assert installation.entities == entities(history, World(world.connectors, away), installation.now)


def test_what_a_connector_said_lives_on_while_its_source_is_away():
    installation = Installation(World({"git": Connector(ttl=600)}), now=EPOCH)
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "pay"}}
    installation.say([Said("git", EPOCH, {"entity": entity})])
    installation.hear("outage", "git", EPOCH + 1_000)
    installation.roll_out()
    installation.wait(3_600)
    assert set(installation.entities) == {"component:default/pay"}


@given(worlds, worlds, histories(), st.sampled_from(WAITS), st.sampled_from(WAITS))
def test_a_policy_that_was_rolled_out_is_as_if_it_had_been_there_from_the_start(before, after, history, first, then):
    installation = Installation(before, now=EPOCH)
    installation.say(history)
    installation.wait(first)
    installation.configure(after)
    installation.roll_out()
    installation.wait(then)
    assert installation.entities == entities(history, after, installation.now)


@given(worlds, histories(), st.sampled_from(WAITS))
def test_a_rollout_of_what_is_in_force_already_writes_nothing(world, history, waited):
    installation = Installation(world, now=EPOCH)
    installation.say(history)
    installation.wait(waited)
    before = {key: list(versions) for key, versions in installation.versions.items()}, dict(installation.table.states)
    assume(before[1])
    installation.roll_out()
    assert ({key: list(of) for key, of in installation.versions.items()}, installation.table.states) == before


@given(worlds, worlds, histories())
def test_fingerprints_differ_where_a_rollout_is_needed(before, after, history):
    installation = Installation(before, now=EPOCH)
    installation.say(history)
    fingerprints = {installation.processor.fingerprint(state) for state in installation.states}
    published = installation.entities
    installation.configure(after)
    installation.roll_out()
    if installation.entities != published:
        assert fingerprints.isdisjoint(installation.processor.fingerprint(state) for state in installation.states)


OPS = ("outage", "recovered")
