"""Which fields can be overridden, and the change that a set of overrides makes."""

import pytest

from mainstem.overrides.fields import MalformedPointerError, change_of, objection, parse_field
from mainstem.overrides.judging import is_same

IDENTITY = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "name": "Pay", "namespace": "default"}


@pytest.mark.parametrize(
    ("text", "position"), [("", 0), ("spec", 0), ("/a~", 2), ("/a/b~2c", 4), ("/a\0", 2), ("x~2", 0)]
)
def test_a_malformed_pointer_is_refused_with_the_position_of_its_first_fault(text, position):
    with pytest.raises(MalformedPointerError) as refused:
        parse_field(text)
    assert refused.value.position == position


@pytest.mark.parametrize(
    ("field", "is_one"),
    [
        ("/spec/owner", True),
        ("/service/tier", True),
        ("/metadata/description", True),
        ("/metadata/labels/a", True),
        ("/metadata/annotations/acme.com~1tier", True),
        ("/", False),
        ("/spec", False),
        ("/kind", False),
        ("/apiVersion", False),
        ("/metadata/name", False),
        ("/metadata/namespace", False),
        ("/metadata/labels", False),
        ("/metadata/labels/a/b", False),
        ("/spec/profile/email", False),
        ("/relations/0", False),
    ],
)
def test_a_field_that_the_merge_takes_whole_can_be_overridden(field, is_one):
    assert (objection(parse_field(field)) is None) == is_one


def test_a_set_of_overrides_is_one_change():
    values = {"/metadata/annotations/acme.com~1tier": "gold", "/spec/owner": None, "/service/a~0b": [1]}
    assert change_of("component:default/pay", IDENTITY, values) == {
        "entityRef": "component:default/pay",
        "entity": {
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Component",
            "metadata": {"name": "Pay", "namespace": "default", "annotations": {"acme.com/tier": "gold"}},
            "spec": {"owner": None},
        },
        "service": {"a~b": [1]},
    }


def test_without_overrides_nothing_is_said():
    assert change_of("component:default/pay", IDENTITY, {}) == {"op": "delete", "entityRef": "component:default/pay"}


@pytest.mark.parametrize(("one", "other", "same"), [(1, True, False), ({"a": 1}, {"a": 1}, True), (None, None, True)])
def test_values_are_compared_as_json(one, other, same):
    assert is_same(one, other) == same
