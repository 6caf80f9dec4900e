"""The HTTP API over a real database."""

import socket
import threading
from contextlib import contextmanager

import httpx2
import orjson
import psycopg
import pytest
import uvicorn
from prometheus_client.parser import text_string_to_metric_families
from psycopg import conninfo
from pydantic import SecretStr

from mainstem.api.app import Settings, make_app
from mainstem.api.server import config_of
from mainstem.roles.role import listen
from schemas.database import migrate
from tests.patience import eventually

INSERT = """
INSERT INTO entities (tenant, entity_ref, kind, namespace, name, entity, service, provenance, version, content_hash,
                      merged_at, deleted_at)
VALUES ('default', %s, %s, %s, %s, %s, %s, '{}', %s, 'h', '2026-05-01T10:00:00.123Z', %s)
"""

END_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database()
"""


@contextmanager
def serving(**settings):
    sock = listen("127.0.0.1", 0)
    server = uvicorn.Server(config_of(make_app(Settings(**settings))))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


def put(dsn, ref, *, version=1, owner="team-pay", tags=(), deleted=None, service=None):
    kind, _, rest = ref.partition(":")
    namespace, _, name = rest.partition("/")
    entity = {"kind": kind.title(), "metadata": {"name": name, "tags": list(tags)}, "spec": {"owner": owner}}
    with psycopg.connect(dsn) as connection:
        connection.execute(
            INSERT,
            (
                ref,
                kind,
                namespace,
                name,
                orjson.dumps(entity).decode(),
                orjson.dumps(service or {}).decode(),
                version,
                deleted,
            ),
        )


@pytest.fixture
def api(database):
    migrate(database)
    with serving(dsn=database) as client:
        yield client, database


def test_an_entity_is_found_by_its_reference_in_any_case(api):
    client, dsn = api
    put(dsn, "component:default/pay", version=7)
    answer = client.get("/v1/entities/Component%3APay")
    assert answer.json() == {
        "entity_ref": "component:default/pay",
        "entity": {"kind": "Component", "metadata": {"name": "pay", "tags": []}, "spec": {"owner": "team-pay"}},
        "service": {},
        "provenance": {},
        "version": 7,
        "content_hash": "h",
        "merged_at": "2026-05-01T10:00:00.123Z",
        "stale": [],
        "freshness": {"state": "fresh", "age_seconds": None, "source": "", "by_connector": {}},
    }


def test_an_entity_that_did_not_change_is_not_sent_again(api):
    client, dsn = api
    put(dsn, "component:default/pay")
    etag = client.get("/v1/entities/component:default/pay").headers["etag"]
    answer = client.get("/v1/entities/component:default/pay", headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")


def test_a_head_is_answered_as_a_get_without_what_it_answers(api):
    client, dsn = api
    put(dsn, "component:default/pay")
    paths = ("/v1/entities/component:pay", "/v1/entities", "/livez", "/v1/entities/component:nobody", "/v1/validate")
    answers = [(client.head(path), client.get(path)) for path in paths]
    told = [(head.status_code, head.headers.get("etag"), head.content) for head, _ in answers]
    assert told == [(get.status_code, get.headers.get("etag"), b"") for _, get in answers]
    assert client.head("/v1/events").status_code == 405


def test_a_vanished_entity_is_not_found(api):
    client, dsn = api
    put(dsn, "component:default/pay", deleted="2026-05-02T10:00:00Z")
    answer = client.get("/v1/entities/component:default/pay")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert client.get("/v1/entities").json()["items"] == []


@pytest.mark.parametrize(("ref", "position"), [("component:de fault/pay", 12), ("pay", 3), ("a:b%0Ac", 3)])
def test_a_malformed_reference_is_refused_with_its_position(api, ref, position):
    answer = api[0].get(f"/v1/entities/{ref}")
    assert (400, position) == (answer.status_code, answer.json()["position"])


def test_a_list_is_read_page_by_page_each_item_once(api):
    client, dsn = api
    for number in range(7):
        put(dsn, f"component:default/c{number}")
    found, cursor = [], None
    while True:
        page = client.get("/v1/entities", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        found += [item["entity_ref"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [f"component:default/c{number}" for number in range(7)] == found


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("kind=api", ["orders"]),
        ("kind=api&kind=Component", ["ledger", "orders", "pay-api"]),
        ("owner=team-pay", ["orders", "pay-api"]),
        ("owner=group:default/team-pay", ["orders", "pay-api"]),
        ("tag=java", ["ledger"]),
        ("tier=tier1", ["pay-api"]),
        ("q=pay", ["orders", "pay-api"]),
        ("q=pay-api tier", []),
        ("q=books&q=orders%20api&q=&q=-", ["ledger", "orders"]),
        ("owner=group:team-pay", ["orders", "pay-api"]),
    ],
)
def test_a_list_is_narrowed_by_filters(api, query, names):
    client, dsn = api
    put(dsn, "component:default/pay-api", service={"tier": "tier1"})
    put(dsn, "component:default/ledger", owner="team-books", tags=["java"])
    put(dsn, "api:default/orders", owner="Group:default/Team-Pay")
    items = client.get(f"/v1/entities?{query}").json()["items"]
    assert names == sorted(item["entity"]["metadata"]["name"] for item in items)


def test_an_owner_without_a_namespace_is_of_the_entitys_own(api):
    client, dsn = api
    put(dsn, "component:shop/till", owner="Team-Till")
    put(dsn, "component:shop/safe", owner="user:team-till")
    put(dsn, "component:default/shelf", owner="shop/team-till")
    asked = ("team-till", "group:shop/team-till", "SHOP/team-till", "group:default/team-till", "user:shop/team-till")
    found = [client.get("/v1/entities", params={"owner": each}).json()["items"] for each in asked]
    names = [[each["entity_ref"].partition("/")[2] for each in items] for items in found]
    assert names == [["shelf", "safe", "till"], ["shelf", "till"], ["shelf", "till"], [], ["safe"]]


def test_each_part_that_is_asked_for_alone_is_as_in_the_whole(api):
    client, dsn = api
    put(dsn, "component:default/pay")
    for path, items in (("entities/component:pay", lambda body: [body]), ("entities", lambda body: body["items"])):
        whole = items(client.get(f"/v1/{path}").json())
        for name in whole[0]:
            alone = items(client.get(f"/v1/{path}?fields={name}").json())
            if name == "freshness":  # its ages go on
                alone, wanted = ([set(each["freshness"]["by_connector"]) for each in of] for of in (alone, whole))
            else:
                wanted = [{name: each[name]} for each in whole]
            assert (name, alone) == (name, wanted)


def test_fields_narrow_an_answer(api):
    client, dsn = api
    put(dsn, "component:default/pay")
    answer = client.get("/v1/entities/component:pay?fields=version,entity.spec.owner,entity.nothing")
    assert answer.json() == {"version": 1, "entity": {"spec": {"owner": "team-pay"}}}


def test_a_part_that_no_answer_has_is_refused_with_those_that_there_are(api):
    client, dsn = api
    put(dsn, "component:default/records")
    answers = [client.get(f"/v1/{path}?fields=version,nope.a") for path in ("entities", "entities/component:pay")]
    history = client.get("/v1/history?fields=entity")
    named = client.get("/v1/entities/component%3Adefault%2Frecords?fields=version")
    assert [(each.status_code, each.json()["unknown"]) for each in answers] == [(400, ["nope"])] * 2
    assert answers[0].json()["detail"].startswith("fields: 'nope' is no part of the answer; known are content_hash, ")
    assert (history.status_code, named.json()) == (400, {"version": 1})


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=1&limit=2", "cursor=%25", "kind=api&kind="]
)
def test_a_bad_parameter_is_a_problem(api, query):
    answer = api[0].get(f"/v1/entities?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_without_the_token_nothing_but_health_and_metrics_is_told(database):
    migrate(database)
    with serving(dsn=database, token=SecretStr("s3cret")) as client:
        codes = [client.get(path).status_code for path in ("/v1/entities", "/livez", "/readyz", "/metrics")]
        known = client.get("/v1/entities", headers={"Authorization": "Bearer s3cret"}).status_code
    assert (codes, known) == ([401, 200, 200, 200], 200)


def test_a_database_that_is_away_is_told_and_not_called_ready(tmp_path):
    with serving(dsn=f"host={tmp_path} dbname=nowhere") as client:
        answers = [client.get(path) for path in ("/livez", "/readyz", "/v1/entities")]
    assert [answer.status_code for answer in answers] == [200, 503, 503]
    assert answers[2].headers["retry-after"] == "5"


def test_requests_are_counted_by_route_and_never_by_path(api):
    client, dsn = api
    put(dsn, "component:default/pay")
    for path in ("/v1/entities/component:default/pay", "/v1/entities/component:default/none", "/nowhere", "/else"):
        client.get(path)
    client.request("PROPFIND", "/nowhere")
    samples = scraped(client)["mainstem_api_requests_total"]
    asked = {(s["method"], s["route"], s["status"]): value for s, value in samples if value}
    assert asked == {
        ("GET", "/v1/entities/{ref}", "200"): 1,
        ("GET", "/v1/entities/{ref}", "404"): 1,
        ("GET", "none", "404"): 2,
        ("other", "none", "404"): 1,
    }
    routes = {s["route"] for s, _ in samples}
    assert {"/v1/entities", "/v1/entities/{ref}", "/v1/connectors/{connector_id}/sync", "none"} <= routes
    assert not {"/nowhere", "/v1/entities/component:default/pay"} & routes


def test_metrics_tell_of_readiness_the_pool_and_the_catalogue(api):
    dsn = api[1]
    put(dsn, "component:default/pay")
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO entity_records (id, tenant, data_source, entity_ref, content_hash, last_touched, deleted,"
            " generation, source_version, change_id, state_version)"
            " SELECT gen_random_uuid(), 'default', 'git', 'component:default/c' || n, 'h', now(), n = 1, 0, 1, '', 1"
            " FROM generate_series(1, 3) n"
        )
    with serving(dsn=dsn) as fresh:
        eventually(lambda: scraped(fresh).get("mainstem_catalog_records"), 20)
        found = scraped(fresh)
    assert [value for _, value in found["mainstem_ready"]] == [1]
    assert [(s["connector"], value) for s, value in found["mainstem_catalog_records"]] == [("git", 2)]
    assert [(s["kind"], value) for s, value in found["mainstem_catalog_entities"]] == [("component", 1)]
    assert {s["state"] for s, _ in found["mainstem_api_pool_connections"]} == {"idle", "in_use"}


def test_metrics_of_an_api_whose_database_is_away_say_that_it_is_not_ready(tmp_path):
    with serving(dsn=f"host={tmp_path} dbname=nowhere") as client:
        assert [value for _, value in scraped(client)["mainstem_ready"]] == [0]


def scraped(client):
    """Return (labels, value) of every sample that the API exports, by name."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_an_answer_over_a_connection_that_is_kept_does_not_wait_for_its_own_beginning(api):
    client, dsn = api
    put(dsn, "component:default/pay")
    took = [client.get("/v1/entities/component:default/pay").elapsed.total_seconds() for _ in range(20)]
    assert min(took[10:]) < 0.03


def test_a_connection_that_the_database_dropped_is_not_handed_out(api):
    client, dsn = api
    put(dsn, "component:default/pay")
    codes = []
    for _ in range(3):
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(END_OTHERS)
        codes.append(client.get("/v1/entities/component:default/pay").status_code)
    assert codes == [200, 200, 200]


def test_a_head_that_does_not_end_is_refused_before_its_time_is_over(api):
    client, _ = api
    with socket.create_connection((client.base_url.host, client.base_url.port), 20) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"x-more: y\r\n" * 5_960)
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_the_api_connects_as_the_dsn_says(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA cat")
    dsn = conninfo.make_conninfo(database, options="-c search_path=cat")
    migrate(dsn)
    with serving(dsn=dsn) as client:
        assert client.get("/readyz").status_code == 200
