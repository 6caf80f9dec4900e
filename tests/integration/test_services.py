"""Services, teams and records over HTTP, from rows that the Postgres sink wrote."""

import time
import uuid
from contextlib import closing
from urllib.parse import quote

import psycopg
import pytest
from psycopg import conninfo, sql

from schemas.database import migrate
from sinks.postgres.model import id_of
from streams.policy import ConnectorPolicy, Policy
from tests.integration.deliveries import NOW, hold, opened, upsert, vanish
from tests.integration.test_api import serving

PAY, TEAM = "component:default/payment-api", "group:default/team-payments"
POLICY = Policy(connectors={"backstage": ConnectorPolicy(priority=50), "oncall": ConnectorPolicy(priority=80, ttl=60)})
NEIGHBOURS = ["stripe-gateway", "checkout-web", "mobile-app"]
FACTS = {
    "tier": "tier1",
    "ownerTeam": "team-payments",
    "onCall": {"userId": "user_jane", "name": "Jane Smith", "until": "2096-01-30T09:00:00Z"},
    "scheduleId": "PAY1",
    "dependencies": [{"target": "stripe-gateway", "type": "runtime", "isCritical": True}],
    "runbooks": [{"title": "Latency troubleshooting", "url": "https://run.acme.com/latency"}],
}
OVER = {"userId": "user_jane", "name": "Jane Smith", "until": "2026-01-30T09:00:00Z"}
WON = {"/metadata/name": "backstage", "/service/onCall": "oncall", "/service/dependencies": ["backstage"]}


def content(facts, owner):
    entity = {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "payment-api", "namespace": "default"},
        "spec": {"owner": owner},
    }
    return {"entity": entity, "service": facts}


def component(name, **more):
    return upsert(f"component:default/{name}", 1, **more)


CATALOGUE = [
    upsert(
        PAY,
        1,
        metadata={"description": "Handles payment processing", "tags": ["java"]},
        spec={"lifecycle": "production", "owner": "somebody", "dependsOn": ["resource:database-primary"]},
        service=FACTS,
        provenance=WON,
        stale=["oncall"],
    ),
    upsert(TEAM, 1, spec={"profile": {"displayName": "Payments Team"}}, service={"slackChannel": "#team-payments"}),
    upsert("user:default/jane", 1, spec={"memberOf": ["team-payments"]}),
    component("stripe-gateway", spec={"dependsOn": ["component:payment-api"]}),
    component("checkout-web", spec={"dependsOn": ["component:payment-api"], "owner": "team-web"}),
    component("mobile-app", spec={"dependsOn": ["component:checkout-web", "component:payment-api"]}),
    upsert("api:default/checkout-web", 1, service={"ownerTeam": "Web (us)"}),
    component(
        "records",
        service={"tier": "tier3", "onCall": OVER},
        spec={"dependencyOf": ["api:checkout-web", "component:nowhere"]},
    ),
    component("theirs", tenant="acme", service={"ownerTeam": "team-payments", "dependencies": [{"target": PAY}]}),
    upsert("group:default/team-theirs", 1, tenant="acme"),
    component("gone"),
    vanish("component:default/gone", 2),
]


@pytest.fixture(scope="module")
def api(postgres):
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = conninfo.make_conninfo(postgres, dbname=name)
    migrate(dsn)
    with closing(opened(dsn)) as sink:
        sink.write(CATALOGUE, {})
        sink.write([hold(PAY, 1, content=content(FACTS, "somebody"), backstage=5, oncall=2)], {})
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE entity_records SET service = '{\"tier\": \"tier2\"}' WHERE data_source = 'oncall'")
    with serving(dsn=dsn, policy=POLICY) as client:
        yield client
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def get(api, path, **query):
    answer = api.get(f"/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def edge(name, kind="component", *, there=True, critical=False):
    ref = f"{kind}:default/{name}"
    ref_id = id_of("default", ref) if there else None
    return {"id": ref_id, "entity_ref": ref, "name": name, "type": "runtime", "is_critical": critical}


def test_a_service_is_answered_as_the_reference_has_it(api):
    found = get(api, "services/payment-api")
    age = found["freshness"].pop("age_seconds")
    assert found == {
        "id": id_of("default", PAY),
        "entity_ref": PAY,
        "name": "payment-api",
        "description": "Handles payment processing",
        "tier": "tier1",
        "lifecycle": "production",
        "tags": ["java"],
        "owner": {"team_id": id_of("default", TEAM), "name": "Payments Team", "slack_channel": "#team-payments"},
        "on_call": {"user_id": "user_jane", "name": "Jane Smith", "until": "2096-01-30T09:00:00Z"},
        "dependencies": {
            "upstream": [edge("stripe-gateway", critical=True), edge("database-primary", "resource", there=False)],
            "downstream": [edge("checkout-web"), edge("mobile-app"), edge("stripe-gateway")],
        },
        "runbooks": [{"title": "Latency troubleshooting", "url": "https://run.acme.com/latency", "type": None}],
        "source": "backstage",
        "synced_at": "2023-11-14T22:13:25.000Z",
        "freshness": {"state": "fresh", "source": "backstage"},
    }
    assert abs(age - (time.time() - NOW / 1000 - 5)) < 5


@pytest.mark.parametrize(
    "name", [id_of("default", PAY), PAY, quote(PAY, safe=""), "Component:Payment-API", "payment-api", "Payment-Api"]
)
def test_a_service_is_found_by_id_reference_and_name(api, name):
    assert get(api, f"services/{name}")["entity_ref"] == PAY


THEIRS = "component:default/theirs", "group:default/team-theirs"


@pytest.mark.parametrize(
    "name", ["nobody", "821f9cb2-7431-47f0-8c34-905314dd4865", "component:nobody", "gone", TEAM, "theirs", THEIRS[0]]
)
def test_what_is_no_service_is_not_found(api, name):
    answer = api.get(f"/v1/services/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["services", "services/{}/dependencies", "services/{}/on-call", "teams"])
def test_what_another_tenant_has_is_not_there_by_its_id_either(api, path):
    ids = [id_of("acme", ref) for ref in THEIRS]
    paths = [path.format(ref) if "{}" in path else f"{path}/{ref}" for ref in ids]
    assert {api.get(f"/v1/{each}").status_code for each in paths} == {404}


def test_a_name_that_several_have_is_answered_with_those_who_have_it(api):
    answer = api.get("/v1/services/checkout-web")
    candidates = ["api:default/checkout-web", "component:default/checkout-web"]
    told = answer.json()
    assert (answer.status_code, told["candidates"]) == (409, candidates)
    assert "ask by entityRef" in told["detail"]


def test_a_malformed_reference_is_refused_with_its_position(api):
    answer = api.get("/v1/services/component:pay%20ment")
    assert (answer.status_code, answer.json()["position"]) == (400, 13)


def test_a_service_that_did_not_change_is_not_sent_again_however_old_it_got(api):
    first = api.get("/v1/services/payment-api")
    time.sleep(1.1)  # the age is told in seconds
    second = api.get("/v1/services/payment-api", headers={"If-None-Match": first.headers["etag"]})
    assert (second.status_code, second.content) == (304, b"")


def test_an_owner_that_is_no_team_is_told_by_its_words(api):
    owners = [get(api, f"services/{ref}")["owner"] for ref in ("component:checkout-web", "api:checkout-web")]
    names = ["group:default/team-web", "Web (us)"]
    assert owners == [{"team_id": None, "name": name, "slack_channel": None} for name in names]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"kind": "API"}, ["checkout-web"]),
        ({"owner": "team-payments"}, ["payment-api"]),
        ({"owner": TEAM}, ["payment-api"]),
        ({"owner": id_of("default", TEAM)}, ["payment-api"]),
        ({"owner": ["team-web", "team-payments"]}, ["checkout-web", "payment-api"]),
        ({"owner": "group:team-payments"}, ["payment-api"]),
        ({"owner": "payments team"}, ["payment-api"]),
        ({"q": ["processing", "stripe"]}, ["payment-api", "stripe-gateway"]),
        ({"tier": ["tier1", "tier3"]}, ["payment-api", "records"]),
        ({"lifecycle": "production"}, ["payment-api"]),
        ({"tag": "java"}, ["payment-api"]),
        ({"q": "processing"}, ["payment-api"]),
        ({"q": "processing", "tier": "tier3"}, []),
    ],
)
def test_services_are_narrowed_by_filters(api, query, names):
    assert [item["name"] for item in get(api, "services", **query, fields="name")["items"]] == names


@pytest.mark.parametrize("kind", ["entities", "conflicts"])
def test_an_owner_is_named_by_the_id_of_a_team_everywhere(api, kind):
    answers = [get(api, kind, owner=owner)["items"] for owner in (id_of("default", TEAM), str(uuid.UUID(int=0)))]
    assert (answers[0], answers[1]) == (get(api, kind, owner="team-payments")["items"], [])


def test_fields_narrow_the_lists_of_a_graph_and_of_a_service(api):
    graph = get(api, "services/payment-api/dependencies", direction="upstream", fields="nodes.name,edges.to")
    service = get(api, "services/payment-api", fields="runbooks.title,dependencies.downstream.name")
    assert graph == {
        "nodes": [{"name": name} for name in ("stripe-gateway", "database-primary")],
        "edges": [{"to": "component:default/stripe-gateway"}, {"to": "resource:default/database-primary"}],
    }
    assert [*service["runbooks"], len(service["dependencies"]["downstream"])] == [
        {"title": "Latency troubleshooting"},
        3,
    ]


def test_services_are_read_page_by_page_each_once(api):
    found, cursor = [], None
    while cursor is not None or not found:
        page = get(api, "services", limit=2, **({"cursor": cursor} if cursor else {}))
        found += [item["entity_ref"] for item in page["items"]]
        cursor = page["next_cursor"]
    components = ("checkout-web", "mobile-app", "payment-api", "records", "stripe-gateway")
    assert found == ["api:default/checkout-web", *(f"component:default/{name}" for name in components)]


def graph(api, **query):
    found = get(api, f"services/{PAY}/dependencies", **query)
    return {node["name"]: node["distance"] for node in found["nodes"]}, {
        (each["from"].rpartition("/")[2], each["to"].rpartition("/")[2]) for each in found["edges"]
    }


def test_the_blast_radius_is_all_that_depends_on_a_service_and_cycles_end(api):
    around = {("stripe-gateway", "payment-api"), ("checkout-web", "payment-api"), ("mobile-app", "payment-api")}
    nodes, edges = graph(api, direction="downstream", depth=20)
    assert nodes == dict.fromkeys(("stripe-gateway", "checkout-web", "mobile-app"), 1)
    assert edges == {*around, ("mobile-app", "checkout-web"), ("payment-api", "stripe-gateway")}


def test_dependencies_are_followed_as_far_and_as_wide_as_asked(api):
    assert graph(api, direction="upstream") == (
        {"stripe-gateway": 1, "database-primary": 1},
        {("payment-api", "stripe-gateway"), ("payment-api", "database-primary")},
    )
    nodes, _ = graph(api, direction="both")
    assert nodes == dict.fromkeys(("stripe-gateway", "database-primary", "checkout-web", "mobile-app"), 1)


def test_a_dependency_that_only_its_target_names_is_followed_from_both_sides(api):
    found = get(api, "services/api:checkout-web")["dependencies"], get(api, "services/records")["dependencies"]
    assert found == (
        {"upstream": [edge("records")], "downstream": []},
        {"upstream": [], "downstream": [edge("checkout-web", "api")]},
    )
    upward = get(api, "services/api:checkout-web/dependencies", direction="upstream")
    assert [node["name"] for node in upward["nodes"]] == ["records"]


@pytest.mark.parametrize("query", ["depth=0", "depth=21", "direction=sideways"])
def test_a_graph_that_cannot_be_drawn_is_refused(api, query):
    assert api.get(f"/v1/services/payment-api/dependencies?{query}").status_code == 400


def test_who_is_on_call_is_told_with_how_fresh_it_is(api):
    found = get(api, "services/payment-api/on-call")
    assert found["freshness"].pop("age_seconds") > 0
    assert found == {
        "user_id": "user_jane",
        "name": "Jane Smith",
        "until": "2096-01-30T09:00:00Z",
        "schedule_id": "PAY1",
        "source": "oncall",
        "freshness": {"state": "stale", "source": "oncall"},
    }


@pytest.mark.parametrize("name", ["mobile-app", "records"])
def test_a_service_of_which_nobody_is_on_call_any_more_says_so(api, name):
    answer = api.get(f"/v1/services/{name}/on-call")
    assert get(api, f"services/{name}")["on_call"] is None
    assert (answer.status_code, answer.json()["title"]) == (404, "not-on-call")


def test_a_team_is_answered_with_its_services_and_members(api):
    found = get(api, "teams/team-payments", fields="id,entity_ref,name,slack_channel,members,services")
    owned = {"id": id_of("default", PAY), "entity_ref": PAY, "name": "payment-api", "tier": "tier1"}
    assert found == {
        "id": id_of("default", TEAM),
        "entity_ref": TEAM,
        "name": "Payments Team",
        "slack_channel": "#team-payments",
        "members": ["user:default/jane"],
        "services": [{**owned, "lifecycle": "production"}],
    }
    assert [item["entity_ref"] for item in get(api, "teams")["items"]] == [TEAM]


def test_records_are_what_each_connector_says(api):
    found = get(api, f"entities/{PAY}/records")["items"]
    told = [
        (each["connector"], each["priority"], each["state"], each["observed_at"], each["expires_at"]) for each in found
    ]
    assert told == [
        ("backstage", 50, "fresh", "2023-11-14T22:13:25.000Z", None),
        ("oncall", 80, "dead", "2023-11-14T22:13:22.000Z", "2023-11-14T22:14:22.000Z"),
    ]
    assert found[0]["entity"] == content(FACTS, "somebody")["entity"]
    assert [each["service"]["tier"] for each in found] == ["tier1", "tier2"]


def test_an_entity_tells_of_itself_and_of_each_of_its_fields_how_fresh_it_is(api):
    found = get(api, f"entities/{PAY}", fields="freshness")["freshness"]
    ages = [found.pop("age_seconds"), *(each.pop("age_seconds") for each in found["by_connector"].values())]
    states = {"backstage": {"state": "fresh"}, "oncall": {"state": "stale"}}
    assert [age - ages[0] for age in ages] == [0, 0, 3]
    assert found == {"state": "fresh", "source": "backstage", "by_connector": states}


def test_an_explanation_names_the_winner_of_each_field(api):
    found = get(api, f"entities/{PAY}/explain", field="/service/tier")
    assert found["fields"]["/service/tier"]["freshness"].pop("age_seconds") > 0
    fresh = {"state": "fresh", "source": "backstage"}
    tier = {"value": "tier1", "winners": ["backstage"], "strategy": "first_by_priority", "losers": []}
    assert found == {"fields": {"/service/tier": {**tier, "freshness": fresh}}}
    assert "/spec/owner" in get(api, f"entities/{PAY}/explain")["fields"]


def test_a_field_that_cannot_be_explained_is_told_with_its_position_or_the_field_that_it_lies_in(api):
    malformed = api.get(f"/v1/entities/{PAY}/explain", params={"field": "/service/~2"}).json()
    inner = api.get(f"/v1/entities/{PAY}/explain", params={"field": "/service/onCall/name"}).json()
    assert (malformed["status"], malformed["position"]) == (400, 9)
    assert (inner["status"], "lies in /service/onCall" in inner["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("entities/component:nobody/records", 404),
        ("entities/component:nobody/explain", 404),
        (f"entities/{PAY}/explain?field=/service/nothing", 404),
        (f"entities/{PAY}/explain?field=tier", 400),
        (f"entities/{PAY}/explain?field=/", 404),
        ("entities/a:b:c/explain", 400),
    ],
)
def test_what_cannot_be_explained_is_a_problem(api, path, status):
    assert api.get(f"/v1/{path}").status_code == status


def test_an_entity_may_be_called_as_what_is_below_one(api):
    encoded = quote("component:default/records", safe="")
    assert get(api, f"entities/{encoded}")["entity_ref"] == "component:default/records"
    assert api.get(f"/v1/entities/{encoded}/records").status_code == 404
