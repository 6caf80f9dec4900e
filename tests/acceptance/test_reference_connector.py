"""The connector file that the project grew from: it is laid into connectors.d, and does what it says."""

import re
from pathlib import Path

import pytest

from tests.acceptance.running import Up
from tests.backstage_catalogue import Catalogue, component
from tests.patience import eventually
from tests.source_server import source_server

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "service-catalog-connector.md"
ADDRESS = "https://backstage.internal.acme.com"
OURS = f"""\
connector_id: backstage-prod
type: backstage
enabled: true
connection:
  base_url: "{ADDRESS}"
  auth:
    type: bearer_token
    secret_ref: "secrets/backstage-token"
sync:
  schedule: "*/15 * * * *"
  full_sync_schedule: "0 2 * * *"
entity_types: [component, system, api, resource]
field_mapping:
  name: "metadata.name"
  description: "metadata.description"
  owner_team: "spec.owner"
  tier: "metadata.annotations['acme.com/tier']"
  lifecycle: "spec.lifecycle"
dependency_extraction:
  upstream: "spec.dependsOn"
  downstream: "relations[?type=='dependencyOf'].targetRef"
filters:
  - "spec.lifecycle != 'deprecated'"
  - "metadata.annotations['acme.com/pdlite-enabled'] == 'true'"
"""
TOKEN = "the-token-of-the-file"


def as_given() -> str:
    """Return the file as the reference has it, or one that says the same where the reference is not at hand."""
    if not REFERENCE.exists():
        return OURS
    found = re.search(r"```yaml\n(connector_id:.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def _catalogue(server):
    enabled = {"acme.com/pdlite-enabled": "true", "acme.com/tier": "tier1"}
    entities = [component(number, **enabled) for number in range(3)]
    entities[0]["spec"]["dependsOn"] = ["resource:default/ledger"]
    entities[0]["relations"].append({"type": "dependencyOf", "targetRef": "component:default/shop"})
    entities[1]["spec"]["lifecycle"] = "deprecated"
    return Catalogue(server, [*entities, component(3)])


@pytest.fixture(scope="module")
def server():
    with source_server() as server:
        yield server


@pytest.fixture(scope="module")
def up(server):
    _catalogue(server)
    up = Up({})
    (up.home / "connectors.d").mkdir()
    file = as_given().replace(ADDRESS, server.url)
    (up.home / "connectors.d" / "backstage-prod.yaml").write_text(file)
    (up.home / "secrets").mkdir()
    (up.home / "secrets" / "backstage-token").write_text(f"{TOKEN}\n")
    try:
        yield up.start()
        up.stop()
    finally:
        up.close()


def test_the_file_takes_what_its_filters_say_and_adds_what_its_mapping_says(up, server):
    found = up.entity("component:default/pay-0000")
    taken = eventually(lambda: {ref for ref in up.entities() if ref.startswith("component:")}, 30, up.tail)
    facts = found["service"]
    assert (
        {key: facts[key] for key in ("name", "ownerTeam", "tier", "lifecycle")},
        [(each["target"], each["type"]) for each in facts["dependencies"]],
        found["entity"]["spec"]["dependencyOf"],
        taken,
    ) == (
        {"name": "pay-0000", "ownerTeam": "team-pay", "tier": "tier1", "lifecycle": "production"},
        [("resource:default/ledger", "runtime")],
        ["component:default/shop"],
        {"component:default/pay-0000", "component:default/pay-0002"},
    )
    assert {request.headers["authorization"] for request in server.asked} == {f"Bearer {TOKEN}"}
