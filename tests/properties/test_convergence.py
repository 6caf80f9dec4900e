"""Random changes, shuffled, repeated, cut into batches, on a clock that moves: always the oracle's entities."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.changes import Origin, read_change
from streams.merge import merge
from tests.oracle import Said, World, canonical, counting, entities, is_forgotten
from tests.oracle_rules import OracleRule
from tests.properties.changes import EPOCH, dependants, disputes, histories, moments, outages, worlds
from tests.properties.harness import Installation, policy_of, shown

WEEK = 7 * 24 * 3600
OFTEN = settings(max_examples=5 * settings.default.max_examples)
"""What compares with the oracle finds the most, and costs the least."""


@st.composite
def deliveries(draw):
    """Return a history and an order of delivery of it: each change at least once, in batches, with waits."""
    history = draw(histories())
    places = list(range(len(history)))
    order = draw(st.permutations(places + draw(st.lists(st.sampled_from(places), max_size=4))))
    batches, rest = [], [history[place] for place in order]
    while rest:
        size = draw(st.integers(1, 6))
        batches.append((draw(st.sampled_from((0, 0, 1, 300, 600, 3600))), rest[:size]))
        rest = rest[size:]
    return history, batches


@OFTEN
@given(
    world=worlds,
    delivery=deliveries(),
    partitions=st.integers(1, 4),
    avro=st.booleans(),
    swept=st.booleans(),
    waited=st.sampled_from((0, 1, 599, 600, 3600, 9000, WEEK, 2 * WEEK)),
)
def test_any_delivery_of_the_same_changes_ends_in_the_oracles_entities(
    *, world, delivery, partitions, avro, swept, waited
):
    history, batches = delivery
    installation = Installation(world, partitions=partitions, now=EPOCH)
    for pause, batch in batches:
        (installation.wait if swept else installation.let_pass)(pause)
        installation.say(batch, avro=avro)
    installation.wait(waited)
    assert installation.entities == entities(history, world, installation.now)


@given(worlds, deliveries(), st.sampled_from((0, 600, 9000, WEEK, 2 * WEEK)))
def test_the_records_held_are_the_greatest_of_each_connector_until_they_are_forgotten(world, delivery, waited):
    history, batches = delivery
    installation = Installation(world, now=EPOCH)
    for pause, batch in batches:
        installation.wait(pause)
        installation.say(batch)
    installation.wait(waited)
    found = {
        key.decode(): {name: record.rank[:5] for name, record in records.items()}
        for key, records in installation.held.items()
    }
    expected = {
        key: {
            name: record.rank[:5]
            for name, record in records.items()
            if not is_forgotten(record, world, installation.now)
        }
        for key, records in counting(history, world).items()
    }
    assert found == {key: records for key, records in expected.items() if records}


@OFTEN
@given(worlds, histories(), outages, moments)
def test_the_merge_alone_is_the_oracles_at_any_moment_and_with_any_outages(world, history, away, now):
    installation = Installation(World(world.connectors), now=EPOCH)
    installation.say(history)
    world = World(world.connectors, away, world.rules)
    assert installation.merged(policy_of(world), now) == entities(history, world, now)


@OFTEN
@given(worlds, dependants())
def test_dependencies_that_several_connectors_name_are_the_oracles(world, history):
    installation = Installation(world, now=EPOCH)
    installation.say(history)
    assert installation.entities == entities(history, world, EPOCH)


@settings(max_examples=2 * settings.default.max_examples)
@given(disputes(), st.sampled_from((20, 30, 40, 60)))
def test_what_a_rule_makes_of_one_field_is_the_oracles(dispute, minutes):
    history, world = dispute
    now = EPOCH + minutes * 60_000
    records = [
        read_change(
            one.document,
            Origin(connector=one.connector, tenant="default", is_complete=False, timestamp=one.timestamp, id="t/0/0"),
        ).record
        for one in history
    ]
    entity = merge(records, policy_of(world), now=now)
    assert [shown(one) for one in [entity] if one is not None] == list(entities(history, world, now).values())


def test_an_unchanged_record_that_is_renewed_counts_anew_where_a_rule_looks_at_time():
    rule = OracleRule("/spec/owner", "most_recent")
    entity = {"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "w"}}
    installation = Installation(World(rules=(rule,)), now=EPOCH)
    owners = []
    for minute, name in enumerate(("git", "cmdb", "git", "git")):
        said = Said(name, EPOCH + minute * 60_000, {"entity": {**entity, "spec": {"owner": name}}})
        installation.let_pass(60)
        installation.say([said])
        owners.append(installation.entities["widget:default/w"]["entity"]["spec"]["owner"])
    assert owners == ["git", "cmdb", "git", "git"]


@given(worlds, deliveries())
def test_published_versions_of_a_partition_rise_strictly(world, delivery):
    installation = Installation(world, now=EPOCH)
    for pause, batch in delivery[1]:
        installation.wait(pause)
        installation.say(batch)
    assert all(versions == sorted(set(versions)) for versions in installation.versions.values()), installation.versions


@given(worlds, deliveries())
def test_changed_is_the_set_of_pointers_in_which_consecutive_versions_differ(world, delivery):
    installation = Installation(world, now=EPOCH)
    for pause, batch in delivery[1]:
        installation.wait(pause)
        installation.say(batch)
    installation.wait(3600)
    for history in installation.history.values():
        for before, after in zip([None, *history], history, strict=False):
            if after is not None:
                assert (after.change, after.changed) == expected_change(before, after)


@given(worlds, deliveries())
def test_nothing_is_published_that_differs_neither_in_content_nor_in_provenance_nor_in_stale(world, delivery):
    installation = Installation(world, now=EPOCH)
    for pause, batch in delivery[1]:
        installation.wait(pause)
        installation.say(batch)
    installation.wait(3600)
    for history in installation.history.values():
        views = [entity and (entity.content_hash, entity.provenance, entity.stale) for entity in history]
        assert all(one != other for one, other in zip([None, *views], views, strict=False))


@given(worlds, deliveries())
def test_every_record_is_merged_superseded_forwarded_set_aside_or_control(world, delivery):
    installation = Installation(world, partitions=3, now=EPOCH)
    for _, batch in delivery[1]:
        installation.say(batch)
    assert installation.count("mainstem_processor_records_total") == installation.count(
        "mainstem_processor_outcomes_total"
    )


def expected_change(before, after):
    if before is None:
        return "created", [""]
    pointers = before.provenance.keys() | after.provenance.keys()
    return "updated", sorted(at for at in pointers if written(before, at) != written(after, at))


def written(entity, at):
    """Return the JSON of the value at the pointer *at*, None when there is none."""
    value = {**entity.entity, "service": entity.service}
    for token in at.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if name not in value:
            return None
        value = value[name]
    return canonical(value)
