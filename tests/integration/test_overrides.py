"""Overrides: what people say over the heads of connectors, on a real Kafka, a real processor and a real database."""

import json
import re
import subprocess
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.catalogue import catalogue
from tests.integration.installation import component

TIER = "/service/tier"
PAGE = (Path(__file__).parents[2] / "docs/how-to/override-a-field.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```(?:\n\n```console\n(.*?)^```)?$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def stage(kafka, postgres):
    with catalogue(kafka, postgres, {"git": {"priority": 50}, "cmdb": {"priority": 90}}) as found:
        yield found


@pytest.fixture
def name(stage):
    """Yield the name of a service of which git says tier2."""
    name = f"s{uuid.uuid4().hex[:8]}"
    say(stage, name, tier="tier2")
    stage.eventually(lambda: stage.get(f"services/{name}"))
    return name


def say(stage, name, connector="git", *, spec=None, **service):
    stage.own.put(connector, component(name, spec=spec or {"owner": "team-pay"}, service=service))


def override(stage, name, field=TIER, value="tier1", *, wait=True, client=None, **more):
    body = {"field": field, "value": value, "reason": "Black Friday", **more}
    return (client or stage.client).post(f"/v1/services/{name}/override{'?wait=1' if wait else ''}", json=body)


def listed(stage, name):
    return {each["field"]: each for each in stage.get(f"services/{name}/overrides")["items"]}


def state(stage, name, field=TIER):
    each = listed(stage, name)[field]
    return each["state"], each["beneath"]


def tier(stage, name):
    return (stage.get(f"services/{name}") or {}).get("tier")


def looked_at(stage, name):
    """Return what was looked at when what lies beneath was looked at last; None while it is to be."""
    return stage.rows("SELECT looked_at FROM override_sets WHERE entity_ref = %s", f"component:default/{name}")[0][0]


def drifts(stage):
    found = [line for line in stage.client.get("/metrics").text.splitlines() if "override_drifts_total{" in line]
    return float(found[0].split()[-1])


def test_what_is_written_alone_is_not_read(stage):
    with stage.serving() as client:
        answer = client.get("/v1/services/component%3Adefault%2Fpay/override?wait=1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, POST")


def test_an_override_survives_resyncs_and_shows_its_drift_once_each_time(stage, name):
    answer, before = override(stage, name), drifts(stage)
    say(stage, name, tier="tier2")
    say(stage, name, "cmdb", tier="tier3")
    stage.eventually(lambda: drifts(stage) > before)
    looked = looked_at(stage, name)
    say(stage, name, "cmdb", tier="tier3")
    stage.eventually(lambda: looked_at(stage, name) != looked)
    drifted, once = state(stage, name), drifts(stage) - before
    say(stage, name, "cmdb", tier="tier4")
    stage.eventually(lambda: drifts(stage) > before + 1)
    assert (once, answer.status_code, answer.json()["tier"]) == (1, 200, "tier1")
    assert (drifted, state(stage, name), tier(stage, name)) == (("drifted", "tier3"), ("drifted", "tier4"), "tier1")


def test_a_set_that_cannot_be_judged_is_in_the_way_of_no_other(stage, name):
    broken = f"{name}-broken"
    say(stage, broken, tier="tier2")
    stage.eventually(lambda: stage.get(f"services/{broken}"))
    override(stage, broken)
    override(stage, name)
    before, ref = drifts(stage), f"component:default/{broken}"
    stage.rows("UPDATE override_sets SET identity = '{}', looked_at = NULL WHERE entity_ref = %s RETURNING 1", ref)
    say(stage, name, tier="tier3")
    stage.eventually(lambda: drifts(stage) > before)
    assert (state(stage, name), looked_at(stage, broken) is None) == (("drifted", "tier3"), False)


def test_a_withdrawn_override_leaves_what_lies_beneath(stage, name):
    override(stage, name)
    override(stage, name, "/metadata/annotations/acme.com~1tier", "gold")
    withdrawn = stage.client.delete(f"/v1/services/{name}/override?field={TIER}&wait=1")
    again = stage.client.delete(f"/v1/services/{name}/override?field={TIER}")
    annotations = stage.get(f"entities/component:{name}")["entity"]["metadata"]["annotations"]
    assert (withdrawn.json()["tier"], list(listed(stage, name)), annotations, again.status_code) == (
        "tier2",
        ["/metadata/annotations/acme.com~1tier"],
        {"acme.com/tier": "gold"},
        404,
    )


def test_an_override_tells_who_said_it_and_why(stage, name):
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    receipt = override(stage, name, wait=False, author="jane", expires_at=until)
    stage.eventually(lambda: tier(stage, name) == "tier1")
    (item,) = stage.get(f"services/{name}/overrides")["items"]
    assert (receipt.status_code, [each["topic"] for each in receipt.json()["receipts"]]) == (
        202,
        [stage.own.topics.changes("override")],
    )
    assert item == {
        "field": TIER,
        "value": "tier1",
        "reason": "Black Friday",
        "author": "jane",
        "expires_at": f"{until[:23]}Z",
        "state": "active",
        "beneath": "tier2",
    }


def test_an_override_that_connectors_come_to_agree_with_is_redundant(stage, name):
    override(stage, name)
    say(stage, name, tier="tier1")
    stage.eventually(lambda: state(stage, name) == ("redundant", "tier1"))


def test_an_override_keeps_no_service_alive_and_holds_again_when_it_comes_back(stage, name):
    override(stage, name)
    stage.own.put("git", {"op": "delete", "entityRef": f"component:default/{name}"})
    # Entities and the records beneath them come over two topics.
    stage.eventually(lambda: stage.get(f"services/{name}") is None and state(stage, name)[0] != "active")
    orphaned, refused = state(stage, name), override(stage, name)
    say(stage, name, tier="tier2")
    stage.eventually(lambda: tier(stage, name) == "tier1" and state(stage, name)[0] != "orphaned")
    assert (orphaned, refused.status_code, state(stage, name)) == (("orphaned", None), 404, ("active", "tier2"))


def test_an_override_ends_by_itself_when_its_time_is_over(stage, name):
    override(stage, name, "/spec/lifecycle", "deprecated")
    override(stage, name, expires_at=(datetime.now(UTC) + timedelta(seconds=2)).isoformat())
    stage.eventually(lambda: tier(stage, name) == "tier2")
    stage.eventually(lambda: list(listed(stage, name)) == ["/spec/lifecycle"])
    assert stage.get(f"services/{name}")["lifecycle"] == "deprecated"


def test_a_null_takes_a_field_away(stage, name):
    found = override(stage, name, value=None).json()
    assert (found["tier"], state(stage, name)) == (None, ("active", "tier2"))


def test_what_a_writer_that_died_had_published_is_undone(stage, name):
    """It had taken the version and Kafka had its change; the tables do not: nobody was told that it holds."""
    override(stage, name, "/spec/lifecycle", "deprecated")
    ref, version = f"component:default/{name}", int(time.time() * 1000) + 1_000
    stage.rows(
        "UPDATE override_sets SET version = %s, writer = gen_random_uuid(), writer_until = 'infinity'"
        " WHERE entity_ref = %s RETURNING 1",
        version,
        ref,
    )
    stage.own.put("override", {**component(name, service={"tier": "ghost"}), "version": version})
    seen = stage.eventually(lambda: tier(stage, name) == "ghost" and stage.get(f"services/{name}")["lifecycle"] is None)
    stage.rows("UPDATE override_sets SET writer_until = now() WHERE entity_ref = %s", ref)
    stage.eventually(lambda: tier(stage, name) == "tier2")
    assert (seen, stage.get(f"services/{name}")["lifecycle"], list(listed(stage, name))) == (
        True,
        "deprecated",
        ["/spec/lifecycle"],
    )


def test_a_set_that_kafka_lost_is_published_anew(stage, name):
    override(stage, name)
    ref = f"component:default/{name}"
    stage.rows("DELETE FROM entity_records WHERE data_source = 'override' AND entity_ref = %s", ref)
    stage.rows("UPDATE override_sets SET version = 1, confirmed_version = 1 WHERE entity_ref = %s", ref)
    said = "SELECT source_version > 1 FROM entity_records WHERE data_source = 'override' AND entity_ref = %s"
    assert stage.eventually(lambda: stage.rows(said, ref)) == [(True,)]


def test_the_page_about_overrides_is_answered_as_it_says(stage):
    say(stage, "pay", tier="tier2")
    stage.eventually(lambda: stage.get("services/pay"))
    base = str(stage.client.base_url).removeprefix("http://").rstrip("/")
    told, expected = [], []
    for block, answer in BLOCKS:
        asked = block.replace("localhost:8080", base).splitlines()
        told += [json.loads(subprocess.check_output(["bash", "-c", line])) for line in asked]
        expected += [json.loads(answer)] if answer else [None] * len(asked)
    tiers = [each and (each.get("tier") or each.get("service", {}).get("tier")) for each in told]
    assert (tiers, told[1]) == (["tier1", None, "tier2", "tier3", None], expected[1])


def test_without_kafka_nothing_is_overridden(stage, name):
    override(stage, name, "/spec/lifecycle", "deprecated")
    with stage.serving(kafka="127.0.0.1:1") as client:
        answer = override(stage, name, client=client)
    stage.eventually(lambda: stage.rows("SELECT 1 FROM override_sets HAVING bool_and(version = confirmed_version)"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert (list(listed(stage, name)), tier(stage, name)) == (["/spec/lifecycle"], "tier2")


def test_two_who_override_one_service_at_once_both_hold(stage, name):
    with stage.serving() as other:
        sent = [
            override(stage, name, f"/service/key{number}", number, client=client, wait=False)
            for number, client in enumerate([stage.client, other] * 4)
        ]
    stage.eventually(lambda: len(stage.get(f"entities/component:{name}")["service"]) == 9)
    assert ({each.status_code for each in sent}, len(listed(stage, name))) == ({202}, 8)


REFUSED = [
    ({"field": "spec/owner"}, 400, None),
    ({"field": "/spec/a~2"}, 400, None),
    ({"field": "/spec/profile/email"}, 422, "/field"),
    ({"field": "/metadata/name"}, 422, "/field"),
    ({"field": "/metadata/annotations"}, 422, "/field"),
    ({"field": "/spec/owner", "value": 5}, 422, "/value"),
    ({"field": "/metadata/annotations/a", "value": {"b": 1}}, 422, "/value"),
    ({"field": "/service/dependencies", "value": [{"type": "runtime"}]}, 422, "/value/0"),
    ({"field": "/service/tier", "value": {"a": 1}}, 422, "/value"),
    ({"field": "/service/onCall", "value": "jane"}, 422, "/value"),
    ({"field": "/service/onCall", "value": {"user": "jane"}}, 422, "/value"),
    ({"field": "/spec/owner", "value": ""}, 422, "/field"),
    ({"field": "/metadata/uid", "value": "u"}, 422, "/field"),
    ({"field": "/service/deep", "value": json.loads("[" * 200 + "]" * 200)}, 422, "/value"),
    ({"reason": ""}, 422, "/reason"),
    ({"expires_at": "2001-01-01T00:00:00Z"}, 422, "/expires_at"),
    ({"expires_at": "tomorrow"}, 422, "/expires_at"),
    ({"expires_at": "9999-12-31T23:59:60Z"}, 422, "/expires_at"),
    ({"forever": True}, 422, "/forever"),
]


@pytest.mark.parametrize(("change", "status", "at"), REFUSED, ids=[json.dumps(change)[:60] for change, *_ in REFUSED])
def test_an_override_that_could_not_hold_is_refused_with_where_it_stands(stage, change, status, at):
    stage.own.put("git", component("fixed", spec={"owner": "team-pay"}))
    stage.eventually(lambda: stage.get("services/fixed"))
    answer = override(stage, "fixed", wait=False, **{"field": TIER, "value": "tier1", **change})
    assert (answer.status_code, at) == (status, answer.json().get("faults", [{"at": None}])[0]["at"])
    assert listed(stage, "fixed") == {}


def test_an_override_of_what_has_changed_since_is_refused(stage, name):
    etag = stage.client.get(f"/v1/services/{name}").headers["etag"]
    path, body = f"/v1/services/{name}/override?wait=1", {"field": TIER, "value": "tier1", "reason": "r"}
    codes = [stage.client.post(path, json=body, headers={"If-Match": etag}).status_code for _ in range(2)]
    assert codes == [200, 412]


def test_the_log_says_which_field_was_overridden_and_why_and_nothing_of_the_value(stage, name):
    override(stage, name, value="hidden", author="jane")
    override(stage, name, value="hidden", wait=False, reason="")
    override(stage, name, value="hidden" * 200_000, wait=False)
    log = stage.rows("SELECT parameters, status FROM audit_log WHERE parameters->>'id' = %s ORDER BY id", name)
    noted = {"wait": "1", "field": TIER, "reason": "Black Friday", "author": "jane"}
    assert log == [({"id": name, **noted}, 200), ({"id": name}, 422), ({"id": name}, 413)]


def test_each_tenant_overrides_its_own_services_and_the_log_says_who(stage, name):
    scopes = ("read", "override", "publish:manual")
    ours, theirs = (stage.token(*scopes, tenant=tenant) for tenant in ("default", "acme"))
    body = {"field": TIER, "value": "tier1", "reason": "r"}
    with stage.serving(auth="tokens") as client:
        path = f"/v1/services/{name}/override?wait=1"
        absent = client.post(path, json=body, headers=theirs).status_code
        written = component(name, spec={"owner": "team-theirs"})["entity"]
        client.put(f"/v1/entities/component:default/{name}?wait=1", json=written, headers=theirs)
        found = client.post(path, json=body, headers=theirs).json()
        seen = [client.get(f"/v1/services/{name}/overrides", headers=who).json()["items"] for who in (ours, theirs)]
        kept = client.get(f"/v1/services/{name}", headers=ours).json()["tier"]
        shut = client.post(path, json=body, headers=stage.token("read", "publish:manual", "operate")).status_code
    log = stage.rows(
        "SELECT tenant, actor, method, status FROM audit_log WHERE route LIKE '%%/override' AND parameters->>'id' = %s"
        " ORDER BY id",
        name,
    )
    assert (absent, found["tier"], kept, shut) == (404, "tier1", "tier2", 403)
    assert [[each["author"] for each in items] for items in seen] == [[], ["acme"]]
    assert log == [("acme", "acme", "POST", 404), ("acme", "acme", "POST", 200)]
