"""What would differ, over HTTP: merged anew from the rows that the Postgres sink wrote."""

import socket

import psycopg
import pytest
from psycopg import conninfo

from streams.policy import ConnectorPolicy, Policy
from tests.integration.deliveries import catalogue, hold_each, part, rows, upsert
from tests.integration.test_api import serving
from tests.patience import eventually

PAY, BETA = "component:default/pay", "component:default/beta"
POLICY = Policy(
    connectors={
        "git": ConnectorPolicy(priority=50),
        "team-pay": ConnectorPolicy(priority=60),
        "oncall": ConnectorPolicy(priority=80, asserts_existence=False),
    }
)
WON = {"/metadata/name": "oncall", "/metadata/description": "team-pay", "/service/tier": "team-pay"}
HELD = [
    upsert(PAY, 1, provenance=WON),
    hold_each(
        PAY,
        1,
        git=part("pay", {"tier": "tier2"}, description="by git", spec={"owner": "team-pay"}),
        oncall=part("pay", {"onCall": {"userId": "jane"}}),
        **{"team-pay": part("pay", {"tier": "tier1"}, description="by its team")},
    ),
    hold_each("component:default/ledger", 1, git=part("ledger", {"tier": "tier2"}, description="books")),
    hold_each(BETA, 1, oncall=part("beta"), **{"team-pay": part("beta")}),
    hold_each("component:default/gone", 1, git=None),
    hold_each("component:default/theirs", 1, tenant="acme", **{"team-pay": part("theirs"), "acme-git": part("theirs")}),
]


@pytest.fixture(scope="module")
def dsn(postgres):
    with catalogue(postgres, HELD) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def api(dsn):
    with serving(dsn=dsn, policy=POLICY) as client:
        yield client


def simulated(api, body, **query):
    answer = api.post("/v1/simulate", json=body, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def content(found):
    return found["entity"]["metadata"].get("description"), found["service"].get("tier")


def test_without_a_connector_what_it_said_is_gone_and_so_is_what_it_alone_vouched_for(api):
    found = simulated(api, {"without": ["team-pay"]})
    sample = found.pop("sample")
    after = sample[1].pop("after")
    assert found == {"changed": 1, "removed": 1}
    assert sample == [
        {"entity_ref": BETA, "changed": [], "after": None},
        {"entity_ref": PAY, "changed": ["/metadata/description", "/service/tier"]},
    ]
    assert content(after) == ("by git", "tier2")


RULE = {"path": "/service/tier", "strategy": "authoritative", "connector": "git"}
DROPPED = {"path": "/service/tier", "strategy": "drop"}


@pytest.mark.parametrize(
    ("policy", "changed"),
    [
        ({"rules": [RULE]}, {PAY: ["/service/tier"]}),
        ({"rules": [DROPPED]}, {PAY: ["/service/tier"], "component:default/ledger": ["/service/tier"]}),
        ({"connectors": {"git": {"priority": 70}}}, {PAY: ["/metadata/description", "/service/tier"]}),
        ({"connectors": {"oncall": {"asserts_existence": True}}}, {}),
        ({"connectors": {"git": {"priority": 50}}}, {}),
        ({"rules": []}, {}),
        ({}, {}),
    ],
)
def test_another_policy_is_as_if_it_had_been_there_from_the_start(api, policy, changed):
    found = simulated(api, {"policy": policy})
    assert {each["entity_ref"]: each["changed"] for each in found["sample"]} == changed
    assert (found["changed"], found["removed"]) == (len(changed), 0)


def test_what_would_come_to_be_is_told_as_created(api):
    found = simulated(api, {"policy": {"connectors": {"team-pay": {"asserts_existence": False}}}, "entity_ref": BETA})
    assert found == {"changed": 0, "removed": 1, "sample": [{"entity_ref": BETA, "changed": [], "after": None}]}


def test_one_entity_is_asked_about_alone_by_its_reference_in_any_case(api):
    found = simulated(api, {"without": ["team-pay"], "entity_ref": "Component:Pay"})
    assert (found["changed"], found["removed"], len(found["sample"])) == (1, 0, 1)


def test_a_sample_ends_where_it_was_asked_to_and_everything_is_counted(api):
    found = simulated(api, {"without": ["team-pay"]}, limit=1)
    assert (found["changed"], found["removed"], len(found["sample"])) == (1, 1, 1)


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, ""),
        ([], ""),
        ({"without": ["git"], "policy": {}}, ""),
        ({"without": []}, "/without"),
        ({"without": ["git", "Git"]}, "/without/1"),
        ({"without": ["nobody"]}, "/without/0"),
        ({"without": ["acme-git"]}, "/without/0"),
        ({"policy": {"rules": [{"path": "/spec/owner", "strategy": "rank"}]}}, "/policy/rules/0"),
        ({"policy": {"rules": [RULE, {"path": "/spec/owner", "strategy": "no-such"}]}}, "/policy/rules/1"),
        ({"policy": {"rules": [{**RULE, "path": "nowhere"}]}}, "/policy/rules/0/path"),
        ({"policy": {"rules": [RULE, RULE]}}, "/policy"),
        ({"policy": {"rulez": []}}, "/policy/rulez"),
        ({"policy": {"connectors": {"git": {"priority": "70"}}}}, "/policy/connectors/git/priority"),
        ({"policy": {"connectors": {"nobody": {"priority": 1}}}}, "/policy/connectors/nobody"),
        ({"without": ["git"], "entity_ref": "a:b:c"}, "/entity_ref"),
        ({"withou": ["git"]}, "/withou"),
    ],
)
def test_what_cannot_be_supposed_is_refused_by_pointer(api, body, at):
    answer = api.post("/v1/simulate", json=body)
    assert answer.status_code == 422, answer.text
    assert at in [fault["at"] for fault in answer.json()["faults"]]


def test_of_a_list_only_what_is_wrong_with_it_is_told(api):
    told = [api.post("/v1/simulate", json={"without": each}).json()["faults"] for each in ([], ["Git"])]
    assert [[fault["at"] for fault in faults] for faults in told] == [["/without"], ["/without/0"]]
    assert told[0][0]["reason"] == "must not be empty"


KEYS = "known keys: asserts_existence, grace, max_stale, priority, ttl"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"policy": {"connectors": {"git": {"prority": 1}}}}, "unknown key; did you mean priority?"),
        ({"policy": {"connectors": {"git": {"x": 1}}}}, f"unknown key; {KEYS}"),
        ({"policy": {"rulez": []}}, "unknown key; did you mean rules?"),
        ({"policy": {"conectors": {}}}, "unknown key; did you mean connectors?"),
        ({"without": ["git"], "x": 1}, "unknown key; known keys: entity_ref, policy, without"),
    ],
)
def test_of_a_key_that_is_not_known_those_that_are_are_named(api, body, reason):
    answer = api.post("/v1/simulate", json=body)
    assert [fault["reason"] for fault in answer.json()["faults"]] == [reason]


def test_an_entity_of_which_nothing_is_held_is_not_found(api):
    answer = api.post("/v1/simulate", json={"without": ["git"], "entity_ref": "component:theirs"})
    assert answer.status_code == 404


def test_a_few_run_at_a_time_and_end_when_nobody_waits_for_them(api, dsn):
    with psycopg.connect(dsn) as blocker:
        blocker.execute("LOCK entity_records IN ACCESS EXCLUSIVE MODE")
        waiting = [asked(api, b'{"without": ["git"]}') for _ in range(2)]
        eventually(lambda: running(dsn) == 2)
        busy = api.post("/v1/simulate", json={"without": ["git"]})
        for each in waiting:
            each.close()
        eventually(lambda: running(dsn) == 0)
    found = simulated(api, {"without": ["git"]})
    assert (busy.status_code, busy.headers["retry-after"], found["changed"]) == (429, "5", 1)


def asked(api, body):
    """Return the connection over which an answer would come."""
    connection = socket.create_connection((api.base_url.host, api.base_url.port))
    head = f"POST /v1/simulate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def running(dsn):
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mainstem-simulate' AND datname = %s"
    return rows(dsn, query, conninfo.conninfo_to_dict(dsn)["dbname"])[0][0]
