"""The graph of dependencies, beside a walk of the same edges that is written down plainly."""

import random
from contextlib import closing

import pytest

from mainstem.api import graph
from tests.integration.connector_rows import migrated
from tests.integration.deliveries import opened, upsert
from tests.integration.test_api import serving

SERVICES = [f"component:default/s{number:02}" for number in range(14)]
ABSENT = ["component:default/gone", "resource:default/lost"]
ROOT = SERVICES[0]
LONG = "".join(map(str, range(3_000)))
"""More than an index can hold."""


@pytest.fixture(scope="module")
def edges():
    """Some with their target unknown, some in circles, one to itself."""
    chance = random.Random(7)
    return {(each, far) for each in SERVICES for far in chance.sample(SERVICES + ABSENT, 2)} | {(ROOT, ROOT)}


@pytest.fixture(scope="module")
def api(postgres, edges):
    with migrated(postgres) as dsn:
        with closing(opened(dsn)) as sink:
            sink.write([*written(edges), *written({(far, near) for near, far in edges}, tenant="acme")], {})
        with serving(dsn=dsn) as client:
            yield client


def written(edges, tenant="default"):
    """Return the services with *edges*: some the one says that depends, some the other, and some both."""
    by_service, by_relation = {each: [] for each in SERVICES}, {each: [] for each in SERVICES}
    for number, (near, far) in enumerate(sorted(edges)):
        if number % 3 == 0 and far in by_relation:
            by_relation[far].append(near)
        if number % 6 or far not in by_relation:
            by_service.get(near, []).append({"target": far})
    more = {ROOT: {"lifecycle": LONG}}
    return [
        upsert(
            each,
            1,
            tenant=tenant,
            spec={"dependencyOf": by_relation[each], **more.get(each, {})},
            service={"dependencies": by_service[each]},
        )
        for each in SERVICES
    ]


def walked(edges, root, ways, depth):
    """Return the distance of each node, and the edges that were met."""
    nodes, met = {}, set()
    for way in ways:
        frontier, seen = {root}, {root}
        for distance in range(1, depth + 1):
            step = {edge for edge in edges if edge[way == "downstream"] in frontier}
            far = {edge[way == "upstream"] for edge in step}
            for each in far - {root}:
                nodes[each] = min(distance, nodes.get(each, distance))
            met |= step
            frontier = (far - seen) & set(SERVICES)
            seen |= far
    return nodes, sorted(met)


def asked(api, root, **query):
    answer = api.get(f"/v1/services/{root.replace('/', '%2F')}/dependencies", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("depth", [1, 2, 3, 20])
@pytest.mark.parametrize("direction", ["upstream", "downstream", "both"])
def test_a_graph_is_what_a_walk_from_service_to_service_meets(api, edges, direction, depth):
    ways = ["upstream", "downstream"] if direction == "both" else [direction]
    found, wanted = {}, {}
    for root in SERVICES:
        told = asked(api, root, direction=direction, depth=depth)
        nodes = [(node["distance"], node["entity_ref"]) for node in told["nodes"]]
        assert nodes == sorted(nodes)
        found[root] = {ref: at for at, ref in nodes}, [(edge["from"], edge["to"]) for edge in told["edges"]]
        wanted[root] = walked(edges, root, ways, depth)
    assert found == wanted


def test_what_is_not_there_has_a_name_and_no_id(api):
    nodes = [node for root in SERVICES for node in asked(api, root, direction="upstream")["nodes"]]
    lost = {node["entity_ref"]: (node["id"], node["name"], node["tier"]) for node in nodes if node["id"] is None}
    assert lost == {"component:default/gone": (None, "gone", None), "resource:default/lost": (None, "lost", None)}


def test_a_node_says_all_of_it_however_long_it_is(api):
    nodes = [node for each in SERVICES for node in asked(api, each)["nodes"] if node["entity_ref"] == ROOT]
    assert {node["lifecycle"] for node in nodes} == {LONG}


def test_of_too_many_edges_the_nearest_are_told_and_that_there_are_more(api, edges, monkeypatch):
    whole = asked(api, ROOT, direction="both", depth=20)
    near = asked(api, ROOT, direction="both", depth=1)
    monkeypatch.setattr(graph, "MAX_EDGES", len(near["edges"]) + 2)
    cut = asked(api, ROOT, direction="both", depth=20)
    told = [(each["from"], each["to"]) for each in cut["edges"]]
    assert (whole["truncated"], cut["truncated"]) == (False, True)
    assert len(told) <= graph.MAX_EDGES < len(whole["edges"])
    assert {(each["from"], each["to"]) for each in near["edges"]} <= set(told) <= edges


@pytest.mark.parametrize("direction", ["upstream", "downstream", "both"])
def test_a_graph_is_cut_where_there_are_more_edges_however_many_ways_meet_them(api, edges, monkeypatch, direction):
    ways = ["upstream", "downstream"] if direction == "both" else [direction]
    nodes, met = walked(edges, ROOT, ways, 20)
    found, wanted = {}, {}
    for most in range(1, len(met) + 2):
        monkeypatch.setattr(graph, "MAX_EDGES", most)
        told = asked(api, ROOT, direction=direction, depth=20)
        found[most] = told["truncated"], len({(edge["from"], edge["to"]) for edge in told["edges"]})
        wanted[most] = most < len(met), min(most, len(met))
        assert {node["entity_ref"]: node["distance"] for node in told["nodes"]}.items() <= nodes.items()
    assert found == wanted


def test_a_graph_that_did_not_change_is_not_sent_again(api):
    path = f"/v1/services/{ROOT.replace('/', '%2F')}/dependencies?depth=20"
    etag = api.get(path).headers["etag"]
    assert api.get(path, headers={"If-None-Match": etag}).status_code == 304
