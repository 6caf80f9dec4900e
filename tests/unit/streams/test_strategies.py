"""Strategies by themselves: what examples of whole entities would hide."""

from functools import partial

import pytest

from streams.strategies import (
    canonical_ref,
    coupled,
    first_by_key,
    union_by,
    union_of_dependencies,
    union_of_texts,
)


def test_without_any_claim_there_is_no_outcome():
    outcomes = [strategy([]) for strategy in (union_of_texts, union_of_dependencies, partial(union_by, "url"))]
    assert outcomes == [None] * 3


@pytest.mark.parametrize("value", [1, "text", {"$json": "x"}, True])
def test_what_is_no_list_adds_nothing_to_a_union(value):
    assert union_of_texts([("a", value), ("b", ["x"])]) == (["x"], ["b"])


@pytest.mark.parametrize("value", [1, "", []])
def test_what_is_no_object_adds_nothing_to_a_map(value):
    assert first_by_key([("a", value), ("b", {"x": 1})]) == ({"x": 1}, {"x": "b"})


def test_the_claims_are_not_altered():
    claims = [("a", [{"target": "x"}]), ("b", [{"target": "x", "isCritical": True}])]
    union_of_dependencies(claims)
    assert claims == [("a", [{"target": "x"}]), ("b", [{"target": "x", "isCritical": True}])]


@pytest.mark.parametrize("value", [1, "true", [True], {"a": 1}])
def test_only_true_is_critical(value):
    outcome = union_of_dependencies([("a", [{"target": "x", "isCritical": value}])])
    assert outcome.value == [{"target": "x", "isCritical": False}]


def test_a_group_without_a_leader_is_none():
    assert coupled([("a", {"y": 1})], ("x", "y"), ("x",), bool) is None


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("API:Pay", None, "api:team/pay"),
        ("Pay", "api", "api:team/pay"),
        ("Default/Pay", "api", "api:default/pay"),
        ("Pay", None, "pay"),
        ("A:B:C", "api", "a:b:c"),
        ("api:not a name", None, "api:not a name"),
    ],
)
def test_a_reference_in_a_list_is_completed_or_taken_as_it_stands(text, kind, expected):
    assert canonical_ref(text, kind, "team") == expected
