"""The graph of dependencies, beside a walk of the same edges that is written down plainly."""

import random
from contextlib import closing

import pytest
from alembic import command

from mainstem.api import graph
from schemas import database as schema
from tests.integration.connector_rows import migrated
from tests.integration.deliveries import opened, rows, upsert
from tests.integration.test_api import serving

SERVICES = [f"component:default/s{number:02}" for number in range(14)]
ABSENT = ["component:default/gone", "resource:default/lost"]
ROOT = SERVICES[0]
LONG = "".join(map(str, range(3_000)))
"""More than an index can hold."""
ODD = 'It says "yes",\n  "no" and \\'


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
            by_service.get(near, []).append({"target": far, "type": LONG if number % 4 else "runtime"})
    more = {ROOT: {"lifecycle": LONG}}
    return [
        upsert(
            each,
            1,
            tenant=tenant,
            spec={"dependencyOf": by_relation[each], **more.get(each, {})},
            service={"dependencies": by_service[each], "name": ODD if each == ROOT else each},
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


def pairs(graph):
    return [(edge["from"], edge["to"]) for edge in graph["edges"]]


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
        found[root] = {ref: at for at, ref in nodes}, sorted(pairs(told))
        wanted[root] = walked(edges, root, ways, depth)
    assert found == wanted


@pytest.mark.parametrize("direction", ["upstream", "downstream", "both"])
def test_the_nearest_edges_are_told_first(api, direction):
    near, deep = (asked(api, ROOT, direction=direction, depth=depth)["edges"] for depth in (1, 20))
    assert len(near) < len(deep)
    assert deep[: len(near)] == near


def test_what_is_not_there_has_a_name_and_no_id(api):
    nodes = [node for root in SERVICES for node in asked(api, root, direction="upstream")["nodes"]]
    lost = {node["entity_ref"]: (node["id"], node["name"], node["tier"]) for node in nodes if node["id"] is None}
    assert lost == {"component:default/gone": (None, "gone", None), "resource:default/lost": (None, "lost", None)}


def test_a_node_says_all_of_it_however_long_it_is(api):
    nodes = [node for each in SERVICES for node in asked(api, each)["nodes"] if node["entity_ref"] == ROOT]
    assert {(node["name"], node["lifecycle"]) for node in nodes} == {(ODD, LONG)}


def test_an_edge_says_the_same_from_both_sides_however_long_it_is(api):
    found = []
    for way in ("upstream", "downstream"):
        told = [edge for root in SERVICES for edge in asked(api, root, direction=way)["edges"]]
        found.append({(edge["from"], edge["to"]): edge["type"] for edge in told if edge["to"] in SERVICES})
    assert set(found[0].values()) == {"runtime", LONG}
    assert found[0] == found[1]


def test_of_too_many_edges_the_nearest_are_told_and_that_there_are_more(api, edges, monkeypatch):
    whole = asked(api, ROOT, direction="both", depth=20)
    near = asked(api, ROOT, direction="both", depth=1)
    monkeypatch.setattr(graph, "MAX_EDGES", len(near["edges"]) + 2)
    cut = asked(api, ROOT, direction="both", depth=20)
    told = pairs(cut)
    assert (whole["truncated"], cut["truncated"]) == (False, True)
    assert len(told) <= graph.MAX_EDGES < len(whole["edges"])
    assert set(pairs(near)) <= set(told) <= edges


@pytest.mark.parametrize("direction", ["upstream", "downstream", "both"])
def test_a_graph_is_cut_where_there_are_more_edges_however_many_ways_meet_them(api, edges, monkeypatch, direction):
    ways = ["upstream", "downstream"] if direction == "both" else [direction]
    nodes, met = walked(edges, ROOT, ways, 20)
    found, wanted = {}, {}
    for most in range(1, len(met) + 2):
        monkeypatch.setattr(graph, "MAX_EDGES", most)
        told = asked(api, ROOT, direction=direction, depth=20)
        found[most] = told["truncated"], len(set(pairs(told)))
        wanted[most] = most < len(met), min(most, len(met))
        assert {node["entity_ref"]: node["distance"] for node in told["nodes"]}.items() <= nodes.items()
    assert found == wanted


def test_a_graph_that_did_not_change_is_not_sent_again(api):
    path = f"/v1/services/{ROOT.replace('/', '%2F')}/dependencies?depth=20"
    etag = api.get(path).headers["etag"]
    assert api.get(path, headers={"If-None-Match": etag}).status_code == 304


@pytest.fixture
def changing(postgres):
    """A catalogue of its own: what writes to it, and what asks it."""
    with migrated(postgres) as dsn, closing(opened(dsn)) as sink, serving(dsn=dsn) as client:
        yield lambda *entities: sink.write([*entities], {}), client, dsn


def depending(version, *, tier="tier1", kind="runtime", **spec):
    on_it = [{"target": SERVICES[0], "type": kind, "isCritical": True}]
    return upsert(SERVICES[1], version, spec=spec, service={"tier": tier, "dependencies": on_it, "name": "one"})


def blast_radius(client):
    told = asked(client, SERVICES[0], direction="downstream")
    (node,), (edge,) = told["nodes"], told["edges"]
    return node["name"], node["tier"], node["lifecycle"], edge["type"]


def test_a_graph_says_what_its_services_say_now(changing):
    write, client, _ = changing
    write(upsert(SERVICES[0], 1), depending(1))
    found = [blast_radius(client)]
    for each in (
        depending(2, tier="tier2"),
        depending(3, tier="tier2", kind="build"),
        depending(4, tier="tier3", kind="build", lifecycle=LONG),
        depending(5, tier="tier3", kind=LONG, lifecycle="production"),
        depending(6),
    ):
        write(each)
        found.append(blast_radius(client))
    assert found == [
        ("one", "tier1", None, "runtime"),
        ("one", "tier2", None, "runtime"),
        ("one", "tier2", None, "build"),
        ("one", "tier3", LONG, "build"),
        ("one", "tier3", "production", LONG),
        ("one", "tier1", None, "runtime"),
    ]


def test_a_graph_has_what_was_there_before_it_was_told_with_the_edges(changing):
    write, client, dsn = changing
    long = upsert(SERVICES[3], 1, service={"dependencies": [{"target": SERVICES[0], "type": LONG}]})
    write(upsert(SERVICES[0], 1), depending(1), upsert(SERVICES[2], 1, spec={"dependencyOf": [SERVICES[0]]}), long)
    before = asked(client, SERVICES[0], direction="both", depth=3)
    command.downgrade(schema._config(lambda: schema._connect(dsn)), "0014")
    schema.migrate(dsn)
    told = rows(dsn, "SELECT dependency_type = 'runtime', told IS NOT NULL FROM service_dependencies ORDER BY 1")
    assert told == [(False, False), (True, True)]
    assert asked(client, SERVICES[0], direction="both", depth=3) == before
