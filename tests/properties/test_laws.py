"""The eight laws of merge.md."""

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.canonical import canonical_json, parse_json
from schemas.changes import Origin, read_change
from schemas.errors import ValidationError
from streams.expiry import Band, band
from streams.merge import merge, values_of
from tests.oracle import Said, World, canonical
from tests.properties.changes import CONNECTORS, EPOCH, histories, moments, worlds
from tests.properties.harness import Installation, policy_of, shown
from tests.properties.rules import rules

NOW = EPOCH + 7_200_000
BY_PRECEDENCE = ("first_by_priority", "authoritative", "coupled", "drop")
UNIONS = ("/metadata/tags", "/metadata/links", "/spec/dependsOn", "/spec/dependencyOf", "/spec/providesApis",
          "/spec/consumesApis", "/service/dependencies", "/service/runbooks")  # fmt: skip


def ended(world, *batches, now=NOW):
    installation = Installation(world, now=now)
    for batch in batches:
        installation.say(batch)
    return installation


@given(worlds, histories(), st.randoms(use_true_random=False), st.integers(1, 4))
def test_law_1_order_repetition_and_batching_do_not_change_the_result(world, history, random, size):
    shuffled = history + random.choices(history, k=3)
    random.shuffle(shuffled)
    batches = [shuffled[at : at + size] for at in range(0, len(shuffled), size)]
    assert ended(world, *batches).entities == ended(world, history).entities


@given(worlds, histories(), st.data())
def test_law_2_replaying_from_any_earlier_point_changes_nothing(world, history, data):
    installation = ended(world, history)
    before = (installation.held, {key: len(published) for key, published in installation.history.items()})
    for one in history[data.draw(st.integers(0, len(history))) :]:
        installation.say([one])
    after = (installation.held, {key: len(published) for key, published in installation.history.items()})
    assert after == before


def farewell(history, connector):
    """Return the delete, by *connector*, of the entity that the first change of *history* is about."""
    entity = history[0].document["entity"]
    metadata = entity["metadata"]
    ref = f"{entity['kind']}:{metadata.get('namespace', 'default')}/{metadata['name']}"
    return Said(connector, NOW, {"op": "delete", "entityRef": ref})


@given(worlds, histories(), st.sampled_from(CONNECTORS), st.booleans())
def test_law_3_removing_a_connector_equals_never_having_had_it(world, history, removed, ends):
    if ends:
        history = [*history, farewell(history, removed)]
    installation = ended(world, history)
    policy = policy_of(world)
    found = {
        key.decode(): merge([one for name, one in records.items() if name != removed], policy, now=NOW)
        for key, records in installation.held.items()
    }
    never = ended(world, [one for one in history if one.connector != removed])
    assert {key: shown(entity) for key, entity in found.items() if entity} == never.entities


@given(worlds, histories(), moments)
def test_law_4_every_leaf_has_a_winner_that_is_live(world, history, now):
    installation, policy = ended(world, history), policy_of(world)
    for key, entity in installation.merged(policy, now).items():
        records = installation.held[key.encode()]
        live = {name for name, record in records.items() if band(record, policy, now) is not Band.DEAD}
        winners = {name for won in entity["provenance"].values() for name in ([won] if isinstance(won, str) else won)}
        assert winners <= live
        assert leaves(entity) == set(entity["provenance"])


@given(worlds, histories(), moments)
def test_law_5_there_is_no_entity_exactly_when_no_live_record_asserts_it(world, history, now):
    installation, policy = ended(world, history), policy_of(world)
    vouched = {
        key.decode()
        for key, records in installation.held.items()
        if any(
            policy.of(name).asserts_existence and band(record, policy, now) is not Band.DEAD
            for name, record in records.items()
        )
    }
    assert installation.merged(policy, now).keys() == vouched


@given(worlds, histories(), moments)
def test_law_6_a_record_of_lower_precedence_changes_no_field_that_a_higher_one_sets(world, history, now):
    """The unions aside, and the strategies that weigh what all records say."""
    connectors = {name: replace(one, asserts_existence=True) for name, one in world.connectors.items()}
    world = World(connectors, rules=tuple(rule for rule in world.rules if rule.strategy in BY_PRECEDENCE))
    policy = policy_of(world)
    for records in ended(world, history).held.values():
        live = [record for record in records.values() if band(record, policy, now) is not Band.DEAD]
        live.sort(key=lambda one: (band(one, policy, now), -policy.priority(one), one.connector))
        for count in range(1, len(live)):
            higher, both = merge(live[:count], policy, now=now), merge(live[: count + 1], policy, now=now)
            if higher is not None:
                kept = {at: canonical(value) for at, value in higher.values.items() if at not in UNIONS}
                assert {at: canonical(both.values[at]) for at in kept} == kept


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(st.sampled_from(("$text", "url", "target", "isCritical", "a", "~/")), children, max_size=3),
    max_leaves=12,
)  # fmt: skip
METADATA = ("title", "description", "annotations", "labels", "tags", "links", "other", "uid")
SPEC = ("dependsOn", "dependencyOf", "providesApis", "consumesApis", "definition", "type", "children", "profile")
SERVICE = ("dependencies", "runbooks", "tier", "onCall")


@st.composite
def wild_upserts(draw):
    """Return changes in which anything may stand anywhere."""

    def part(names):
        return draw(JSON | st.dictionaries(st.sampled_from(names), JSON, max_size=4))

    kind = draw(st.sampled_from(("Component", "API", "Group", "Widget")))
    metadata = part(METADATA)
    metadata = {**(metadata if isinstance(metadata, dict) else {}), "name": "pay"}
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": part(SPEC)}
    return Said(draw(st.sampled_from(CONNECTORS)), EPOCH, {"entity": entity, "service": part(SERVICE)})


@settings(max_examples=settings.default.max_examples // 2)
@given(st.lists(wild_upserts(), min_size=1, max_size=4), rules)
def test_law_7_merge_never_raises_on_a_record_that_validation_let_through(history, ruled):
    policy = policy_of(World(rules=ruled))
    records = {}
    for one in history:
        origin = Origin(connector=one.connector, tenant="default", is_complete=False, timestamp=EPOCH, id="t/0/0")
        try:
            change = read_change(one.document, origin)
        except ValidationError:
            continue
        records[change.ref, one.connector] = change.record
    assume(records)
    for of in {ref for ref, _ in records}:
        merge([record for (ref, _), record in records.items() if ref == of], policy, now=EPOCH)


@settings(max_examples=settings.default.max_examples // 2)
@given(worlds, histories())
def test_every_value_of_a_merged_entity_is_told_by_its_content_alone(world, history):
    for of in ended(world, history).held.values():
        entity = merge(of.values(), policy_of(world), now=NOW)
        if entity is not None:
            content = canonical_json({"entity": entity.entity, "service": entity.service})
            told = values_of(parse_json(content))
            assert {at: canonical_json(value) for at, value in told.items()} == {
                at: canonical_json(value) for at, value in entity.values.items()
            }


@given(worlds, worlds, histories())
def test_law_8_recomputing_with_a_new_policy_equals_having_had_it_from_the_start(old, new, history):
    assert ended(old, history).merged(policy_of(new), NOW) == ended(new, history).entities


def leaves(entity):
    """Return the pointers of the strategy table under which the merged entity has something."""
    found = {f"/{name}" for name in entity["entity"] if name not in ("metadata", "spec")}
    for section in ("metadata", "spec"):
        found |= {f"/{section}/{escaped(name)}" for name in entity["entity"].get(section, {})}
    found |= {f"/service/{escaped(name)}" for name in entity["service"]}
    for name in ("annotations", "labels"):
        if f"/metadata/{name}" in found:
            found.discard(f"/metadata/{name}")
            found |= {f"/metadata/{name}/{escaped(key)}" for key in entity["entity"]["metadata"][name]}
    return found


def escaped(token):
    return token.replace("~", "~0").replace("/", "~1")
