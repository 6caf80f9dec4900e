"""`POST /v1/validate` judges a change as the processor would."""

import json

import pytest

from tests.integration.connector_rows import migrated
from tests.integration.test_api import serving

ENTITY = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "Pay"}}


@pytest.fixture(scope="module")
def client(postgres):
    with migrated(postgres) as dsn, serving(dsn=dsn) as client:
        yield client


@pytest.mark.parametrize(
    "change",
    [
        {"entity": ENTITY},
        {"op": "upsert", "entity": ENTITY, "service": {"tier": "tier1"}},
        {"op": "delete", "entityRef": "Component:Pay"},
    ],
)
def test_a_change_that_would_be_accepted_is_valid(client, change):
    answer = client.post("/v1/validate", json=change)
    assert (answer.status_code, answer.json()) == (200, {"valid": True, "entity_ref": "component:default/pay"})


def test_every_fault_is_told_by_its_pointer(client):
    change = {"entity": {**ENTITY, "metadata": {"name": "a b"}}, "service": 7, "ttlSeconds": -1, "tenant": "acme"}
    answer = client.post("/v1/validate", json=change)
    found = {each["at"] for each in answer.json()["faults"]}
    assert (answer.status_code, found) == (422, {"/entity/metadata/name", "/service", "/ttlSeconds", "/tenant"})


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"op": 1e999}', '{"op": "outage"}', '{"a": 1, "a": 2'])
def test_what_is_no_change_is_told_so(client, body):
    answer = client.post("/v1/validate", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, len(answer.json()["faults"])) == (422, 1)


def test_a_change_that_is_too_large_is_told_so(client):
    change = {"entity": {**ENTITY, "spec": {"text": "x" * 1_000_000}}}
    answer = client.post("/v1/validate", json=change)
    assert answer.json()["detail"] == "the value has more than 1000000 bytes"


def test_no_payload_is_repeated(client):
    change = {"entity": {**ENTITY, "metadata": {"name": "canary canary"}}}
    assert "canary" not in client.post("/v1/validate", content=json.dumps(change)).text
