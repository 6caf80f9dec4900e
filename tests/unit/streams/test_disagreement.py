"""On which fields live records disagree."""

import orjson
import pytest

from schemas.records import Record
from streams.disagreement import disagreements
from streams.policy import ConnectorPolicy, Policy
from streams.rules import Rule
from streams.shipped import FirstByPriority, Union

NOW = 1_000_000
LABEL = "/metadata/labels/a~1b"
CONNECTORS = {"git": ConnectorPolicy(priority=50), "team": ConnectorPolicy(priority=60)}


def record(connector, *, ttl=None, service=None, spec=None, **metadata):
    entity = {"apiVersion": "v1", "kind": "Component", "metadata": {"name": "pay", "namespace": "default", **metadata}}
    body = {"entity": {**entity, "spec": spec or {}}, "service": service or {}}
    return Record(
        connector=connector,
        generation=0,
        version=1,
        observed_at=0,
        timestamp=0,
        ttl=ttl,
        priority=None,
        content_hash="h",
        content=orjson.dumps(body),
        id="x",
    )


def found(*records, rules=(), **policies):
    policy = Policy(connectors={**CONNECTORS, **policies}, rules=rules)
    return {each.pointer: each.values for each in disagreements(records, policy, now=NOW)}


@pytest.mark.parametrize(
    ("one", "other", "conflicts"),
    [
        ({"title": "A"}, {"title": "B"}, {"/metadata/title": {"team": "B", "git": "A"}}),
        ({"title": "A"}, {"title": "A"}, {}),
        ({"title": "A"}, {"title": ""}, {}),
        ({"title": "A"}, {"title": None}, {"/metadata/title": {"team": None, "git": "A"}}),
        ({"title": "A"}, {}, {}),
        ({"service": {"weight": 1}}, {"service": {"weight": True}}, {"/service/weight": {"team": True, "git": 1}}),
        ({"tags": ["a"]}, {"tags": ["b"]}, {}),
        ({"labels": {"a/b": "1", "c": "1"}}, {"labels": {"a/b": "2"}}, {LABEL: {"team": "2", "git": "1"}}),
        ({"labels": {"a": "1"}}, {"labels": None}, {"/metadata/labels/a": {"team": None, "git": "1"}}),
    ],
)
def test_a_field_of_which_two_say_different_things_is_in_conflict(one, other, conflicts):
    assert found(record("git", **one), record("team", **other)) == conflicts


def test_the_strongest_is_told_first():
    values = found(record("git", title="A"), record("team", title="B"))["/metadata/title"]
    assert list(values) == ["team", "git"]


def test_the_dead_disagree_with_nobody():
    assert found(record("git", title="A", ttl=1), record("team", title="B")) == {}


def test_nobody_disagrees_about_what_does_not_exist():
    enriching = {name: ConnectorPolicy(asserts_existence=False) for name in CONNECTORS}
    assert found(record("git", title="A"), record("team", title="B"), **enriching) == {}


def test_a_rule_says_whether_a_field_is_of_one_or_of_all():
    joined = Rule(path="/spec/reviewers", name="union", strategy=Union({}))
    single = Rule(path="/metadata/tags", name="first_by_priority", strategy=FirstByPriority({}))
    one, other = ({"spec": {"reviewers": [name]}, "tags": [name]} for name in "ab")
    conflicts = found(record("git", **one), record("team", **other), rules=(joined, single))
    assert list(conflicts) == ["/metadata/tags"]
