"""Answers narrowed to the parts that were asked for."""

import orjson
import pytest

from mainstem.api.fields import narrowed

ITEM = {
    "name": "pay",
    "owner": {"name": "Payments", "id": None},
    "edges": [{"to": "a", "type": "x"}, {"to": "b"}],
    "tags": ["java"],
    "none": [],
    "labels": {"acme.com/tier": "1", "acme": {"org": 2}},
}


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ("owner.id, name", {"owner": {"id": None}, "name": "pay"}),
        ("edges.type,edges.to", {"edges": [{"type": "x", "to": "a"}, {"to": "b"}]}),
        ("edges.nothing", {"edges": [{}, {}]}),
        ("edges,edges.to", {"edges": ITEM["edges"]}),
        ("edges.to,edges", {"edges": ITEM["edges"]}),
        ("owner,owner.id", {"owner": ITEM["owner"]}),
        ("labels.acme.com/tier", {"labels": {"acme.com/tier": "1"}}),
        ("labels.acme.org", {"labels": {"acme": {"org": 2}}}),
        ("tags.x,name.x,none.x,nothing", {"none": []}),
    ],
)
def test_an_answer_is_narrowed_to_paths_also_within_lists_and_below_names_with_dots(fields, parts):
    assert parts == narrowed(ITEM, fields)


def test_what_is_json_already_is_narrowed_as_well():
    graph = {"nodes": orjson.Fragment(b'[{"id": null, "name": "a"}]'), "truncated": False}
    assert narrowed(graph, "nodes.id,nodes.name") == {"nodes": [{"id": None, "name": "a"}]}
