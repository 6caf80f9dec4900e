"""Whatever an entity looks like, its mapping answers or refuses it, and alters nothing."""

import contextlib
import copy

from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ValidationError
from sources.mapping import Mapper, MappingSettings, Rule

WORDS = st.sampled_from(["", "Component", "pay", "a", "dependencyOf", "upsert", "delete"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def objects(*keys):
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, VALUES))


TARGETS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4)
SPECS = objects("owner", "lifecycle") | st.fixed_dictionaries({"dependsOn": TARGETS, "dependencyOf": TARGETS})
ENTITIES = st.fixed_dictionaries(
    {}, optional={"kind": VALUES, "metadata": objects("name") | VALUES, "spec": SPECS | VALUES}
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from([None, "upsert"]) | VALUES,
        "entity": ENTITIES,
        "service": objects("tier") | VALUES,
    },
)
SETTINGS = st.builds(
    MappingSettings,
    connector=st.just("git"),
    entity_types=st.none() | st.just(("component",)),
    filters=st.lists(st.sampled_from(["spec.owner", "length(spec.owner) > `1`"]), max_size=2).map(tuple),
    field_mapping=st.dictionaries(
        st.sampled_from(["tier", "on_call", "dependencies", "x"]), st.sampled_from(["spec", "spec.owner", "kind"])
    ),
    upstream=st.none() | st.sampled_from(["spec.dependsOn", "spec", "@"]),
    downstream=st.none() | st.sampled_from(["spec.dependsOn", "spec", "@"]),
    rules=st.lists(st.just(Rule(expression="kind", message="It needs a kind.")), max_size=1).map(tuple),
)


@given(SETTINGS, CHANGES)
def test_a_mapping_answers_or_refuses_and_alters_nothing(settings, change):
    before = copy.deepcopy(change)
    with contextlib.suppress(ValidationError):
        Mapper(settings).map(change)
    assert repr(before) == repr(change)


@given(TARGETS, TARGETS, TARGETS)
def test_each_reference_is_there_once_behind_those_that_were(upstream, there, downstream):
    settings = MappingSettings(connector="git", upstream="spec.dependsOn", downstream="up")
    said = list(dict.fromkeys(there))
    entity = {"kind": "Component", "spec": {"dependsOn": upstream, "dependencyOf": said}, "up": downstream}
    service = {"dependencies": [{"target": target} for target in said]}
    answer = Mapper(settings).map({"entity": entity, "service": service})
    found = [each["target"] for each in answer["service"]["dependencies"]], answer["entity"]["spec"]["dependencyOf"]
    assert found == (list(dict.fromkeys(said + upstream)), list(dict.fromkeys(said + downstream)))
