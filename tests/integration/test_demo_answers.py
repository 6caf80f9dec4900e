"""The demo's own data, as the API answers it: the reference's example, and an explanation of every field."""

import time
from collections import defaultdict
from dataclasses import replace

import pytest

from mainstem.configuration.loading import load
from mainstem.demo import voices
from mainstem.demo.catalogue import SAMPLE, read_catalogue
from mainstem.demo.place import write_configuration
from mainstem.demo.voices import GIT, INCIDENT_TOOL, TEAM
from mainstem.policies import policy_of
from schemas.changes import Origin, read_change
from schemas.codec import decode_change, encode_entity, encode_records
from schemas.entities import MergedEntity
from schemas.records import NEVER, Records
from schemas.refs import DEFAULT_TENANT
from sources.publisher import draft
from streams.explain import explain
from streams.merge import merge
from tests.integration.deliveries import TOPICS, catalogue, delivery
from tests.integration.test_api import serving

NOW = int(time.time() * 1000)
EXAMPLE = "component:default/payment-api"


def said():
    """Yield what the demo's connectors say at its third step, of every entity."""
    entities = read_catalogue(SAMPLE)
    for entity in entities.entities.values():
        yield GIT, voices.git(entity)
    for number, ref in enumerate(entities.services()):
        yield INCIDENT_TOOL, voices.incident_tool(entities.entities[ref], observed_at=NOW)
        if number < 8:
            yield TEAM, voices.team(entities.entities[ref])
    for ref in entities.teams():
        yield INCIDENT_TOOL, voices.incident_tool_of_team(entities.entities[ref], observed_at=NOW)
    yield TEAM, voices.newcomer(entities.entities[entities.hero], "newcomer")


@pytest.fixture(scope="module")
def held():
    """Return the records of each entity, by its reference."""
    found = defaultdict(list)
    for connector, change in said():
        published = draft(change, connector, is_complete=connector == GIT)
        origin = Origin(connector=connector, tenant=DEFAULT_TENANT, is_complete=False, timestamp=NOW, id="t/0/0")
        found[published.entity_ref].append(read_change(decode_change(published.value), origin).record)
    return found


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """Return that of the demo, but for the silence of the incident tool."""
    found = policy_of(load(write_configuration(tmp_path_factory.mktemp("demo"), SAMPLE), environ={}))
    endless = replace(found.connectors[INCIDENT_TOOL], ttl=NEVER)
    return replace(found, connectors={**found.connectors, INCIDENT_TOOL: endless})


@pytest.fixture(scope="module")
def api(postgres, held, policy):
    deliveries = [each for ref, records in held.items() for each in published(ref, records, policy)]
    with catalogue(postgres, deliveries) as dsn, serving(dsn=dsn, policy=policy) as client:
        yield client


def published(ref, records, policy):
    merged = merge(records, policy, now=NOW)
    entity = MergedEntity(
        tenant=DEFAULT_TENANT,
        entity_ref=ref,
        version=1,
        content_hash=merged.content_hash,
        entity=merged.entity,
        service=merged.service,
        provenance=merged.provenance,
        change="created",
        changed=[""],
        stale=[],
        merged_at=NOW,
    )
    state = Records(version=1, by_connector={each.connector: each for each in records})
    return delivery(TOPICS.entities, ref, encode_entity(entity)), delivery(TOPICS.changelog, ref, encode_records(state))


def test_the_references_example_comes_out_of_the_demos_data(api):
    found = api.get("/v1/services/payment-api").json()
    names = {way: [each["name"] for each in found["dependencies"][way]] for way in ("upstream", "downstream")}
    told = {
        "name": found["name"],
        "description": found["description"],
        "tier": found["tier"],
        "owner": {name: found["owner"][name] for name in ("name", "slack_channel")},
        "on_call": {name: found["on_call"][name] for name in ("user_id", "name")},
        "dependencies": names,
        "runbooks": [each["title"] for each in found["runbooks"]],
        "source": found["source"],
    }
    assert {"id", "synced_at"} <= found.keys()
    assert found["owner"]["team_id"] == api.get("/v1/teams/payments").json()["id"]
    assert found["on_call"]["until"] > found["synced_at"]
    assert told == {
        "name": "payment-api",
        "description": "Handles payment processing",
        "tier": "tier1",
        "owner": {"name": "Payments Team", "slack_channel": "#team-payments"},
        "on_call": {"user_id": "user_jane", "name": "Jane Smith"},
        "dependencies": {
            "upstream": ["stripe-gateway", "database-primary"],
            "downstream": ["checkout-web", "mobile-app"],
        },
        "runbooks": ["Latency troubleshooting"],
        "source": INCIDENT_TOOL,
    }


def test_every_field_of_every_entity_is_explained_as_it_was_merged(api, held):
    entities = answered(api)
    differing = [ref for ref, entity in entities.items() if explained(api, ref) != merged_fields(entity)]
    assert (len(entities), differing) == (len(held), [])


def answered(api):
    found, cursor = {}, None
    while cursor is not None or not found:
        page = api.get("/v1/entities", params={"limit": 100, **({"cursor": cursor} if cursor else {})}).json()
        found |= {each["entity_ref"]: each for each in page["items"]}
        cursor = page["next_cursor"]
    return found


def explained(api, ref):
    fields = api.get(f"/v1/entities/{ref}/explain").json()["fields"]
    return {at: (leaf["value"], leaf["winners"]) for at, leaf in fields.items() if leaf["winners"]}


def merged_fields(entity):
    return {at: (value_at(entity, at), listed(winners)) for at, winners in entity["provenance"].items()}


def value_at(entity, at):
    value = entity if at.startswith("/service/") else entity["entity"]
    for token in at.split("/")[1:]:
        value = value[token.replace("~1", "/").replace("~0", "~")]
    return value


def listed(winners):
    return [winners] if isinstance(winners, str) else winners


@pytest.mark.parametrize(("silent", "later_ms"), [((), 0), ((INCIDENT_TOOL,), 60_000), ((TEAM, INCIDENT_TOOL), 0)])
def test_at_every_step_of_the_demo_the_explanation_is_that_of_the_merge(held, policy, silent, later_ms):
    for records in held.values():
        kept = [each for each in records if each.connector not in silent]
        merged = merge(kept, policy, now=NOW + later_ms)
        found = explain(kept, policy, now=NOW + later_ms)
        told = {leaf.pointer: (leaf.value, list(leaf.winners)) for leaf in found.leaves if leaf.winners}
        wanted = {at: (merged.values[at], listed(won)) for at, won in merged.provenance.items()} if merged else {}
        assert told == wanted
        losers = {(leaf.pointer, each.connector) for leaf in found.leaves for each in leaf.losers}
        assert not {(at, name) for at, (_, names) in told.items() for name in names} & losers
