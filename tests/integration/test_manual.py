"""Entities that people write down through the API, merged by a real processor and read from a real database."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.catalogue import catalogue
from tests.integration.installation import component

WRITES = ("read", "publish:manual")


@pytest.fixture(scope="module")
def stage(kafka, postgres):
    with catalogue(kafka, postgres, {"git": {"priority": 50}}) as found:
        yield found


def entity(name, **spec):
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec}


def test_what_is_written_down_is_an_entity_until_it_is_taken_back(stage):
    path = "/v1/entities/component:default/till?wait=1"
    put = stage.client.put(path, json=entity("till", owner="team-pay"))
    service = stage.get("services/till")
    gone = stage.client.delete(path)
    again = stage.client.delete(path)
    assert (put.status_code, put.json()["entity"]) == (200, entity("till", owner="team-pay"))
    assert (service["source"], service["freshness"]["state"]) == ("manual", "fresh")
    assert (gone.status_code, gone.json(), again.status_code) == (200, None, 404)


def test_what_is_written_down_fills_what_connectors_leave_open(stage):
    stage.own.put("git", component("ledger", spec={"owner": "team-books"}))
    stage.eventually(lambda: stage.get("entities/component:ledger"))
    path = "/v1/entities/component:default/ledger"
    body = {"entity": entity("ledger", owner="team-pay", lifecycle="production"), "service": {"tier": "tier1"}}
    receipts = stage.client.put(path, json=body)
    found = stage.eventually(lambda: (it := stage.get("entities/component:ledger"))["service"] and it)
    left = stage.client.delete(f"{path}?wait=true").json()
    (receipt,) = receipts.json()["receipts"]
    assert (receipts.status_code, receipt["topic"]) == (202, stage.own.topics.changes("manual"))
    assert found["entity"]["spec"] == {"owner": "team-books", "lifecycle": "production"}
    assert (left["entity"]["spec"], left["service"]) == ({"owner": "team-books"}, {})


def test_of_several_writes_the_last_one_holds(stage):
    path = "/v1/entities/component:default/often"
    for number in range(10):
        stage.client.put(path, json=entity("often", system=f"s{number}"))
    last = stage.client.put(f"{path}?wait=1", json=entity("often", system="last"))
    assert last.json()["entity"]["spec"] == {"system": "last"}


def test_what_the_api_writes_comes_after_what_was_published_in_another_way(stage):
    ahead = {**component("ahead", spec={"system": "early"}), "version": 2**60}
    stage.own.put("manual", ahead)
    stage.eventually(lambda: stage.get("entities/component:ahead"))
    answer = stage.client.put("/v1/entities/component:default/ahead?wait=1", json=entity("ahead", system="late"))
    assert answer.json()["entity"]["spec"] == {"system": "late"}


REFUSED = [
    ("component:default/till", {"kind": "Component"}, 422, "/apiVersion"),
    ("component:default/till", entity("till", owner=5), 422, "/spec/owner"),
    ("component:default/other", entity("till"), 422, "/metadata"),
    ("component:default/other", {"entity": entity("till")}, 422, "/entity/metadata"),
    ("component:default/till", {"entity": entity("till"), "op": "delete"}, 422, "/op"),
    ("component:default/till", {"service": {}}, 422, "/entity"),
    ("component:default/till", [], 422, ""),
]


@pytest.mark.parametrize(("ref", "body", "status", "at"), REFUSED)
def test_what_no_connector_may_say_is_refused_with_where_it_stands(stage, ref, body, status, at):
    answer = stage.client.put(f"/v1/entities/{ref}", json=body)
    assert (answer.status_code, at) == (status, answer.json()["faults"][0]["at"])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("component:de fault/till", b"{}", 400),
        ("component:default/till", b"{", 422),
        ("component:default/till", b"x" * 1_100_000, 413),
        ("component:default/till?nothing=1", b"{}", 400),
    ],
)
def test_what_cannot_be_read_is_refused(stage, path, body, status):
    assert stage.client.put(f"/v1/entities/{path}", content=body).status_code == status


@pytest.mark.parametrize("view", ["records", "explain", "history"])
def test_what_is_read_of_an_entity_is_no_entity_to_be_written(stage, view):
    answers = [stage.client.put(f"/v1/entities/component:default/till/{view}", json={}),
               stage.client.put(f"/v1/entities/component%3Adefault%2F{view}", json=entity(view))]  # fmt: skip
    assert [each.status_code for each in answers] == [405, 202]


def test_a_write_over_what_has_changed_since_is_refused(stage):
    path = "/v1/entities/component:default/shared"
    early = stage.client.put(path, json=entity("shared"), headers={"If-Match": "*"})
    first, second = (
        stage.client.put(f"{path}?wait=1", json=entity("shared"), headers={"If-None-Match": "*"}) for _ in range(2)
    )
    etag = first.headers["etag"]
    right = stage.client.put(f"{path}?wait=1", json=entity("shared", type="x"), headers={"If-Match": etag})
    late = [
        stage.client.request(way, path, json=entity("shared"), headers={"If-Match": etag}) for way in ("PUT", "DELETE")
    ]
    assert [each.status_code for each in (early, first, second, right, *late)] == [412, 200, 412, 200, 412, 412]


def test_many_can_wait_at_the_same_time_for_what_comes_of_their_changes(stage):
    def written(number):
        body = entity(f"many-{number}")
        return stage.client.put(f"/v1/entities/component:default/many-{number}?wait=1", json=body).status_code

    with ThreadPoolExecutor(12) as threads:
        assert set(threads.map(written, range(24))) == {200}


def test_without_kafka_a_change_is_not_acknowledged_and_it_is_said_when_to_come_again(stage):
    with stage.serving(kafka="127.0.0.1:1") as client:
        answer = client.put("/v1/entities/component:default/lost", json=entity("lost"))
    told = "whether it was changed is not known"
    assert (answer.status_code, answer.headers["retry-after"], told in answer.text) == (503, "5", True)


def test_each_tenant_has_entities_of_its_own_and_a_log_of_who_wrote_them(stage):
    ours, theirs = (stage.token(*WRITES, tenant=tenant) for tenant in ("default", "acme"))
    path = "/v1/entities/component:default/twin?wait=1"
    with stage.serving(auth="tokens") as client:
        put = client.put(path, json=entity("twin", owner="team-theirs"), headers=theirs)
        seen = [client.get(path[:-7], headers=who).status_code for who in (ours, theirs)]
        taken = client.delete(path, headers=ours)
        refused = client.put(path, json=entity("twin"), headers=stage.token("read", "override", "publish:git"))
    log = stage.rows(
        "SELECT tenant, actor, method, status FROM audit_log WHERE right(parameters->>'ref', 4) = 'twin' ORDER BY id"
    )
    assert (put.status_code, seen, taken.status_code, refused.status_code) == (200, [404, 200], 404, 403)
    assert log == [("acme", "acme", "PUT", 200), ("default", "default", "DELETE", 404)]
