"""`mainstem entities` of one tenant among several."""

import json
from contextlib import closing

import pytest
from typer.testing import CliRunner

from mainstem.cli import app
from schemas.errors import ConfigError
from tests.acceptance.running import write_config
from tests.integration.connector_rows import migrated
from tests.integration.deliveries import opened, upsert

BOTH, THEIRS = "component:default/pay", "component:default/ledger"


@pytest.fixture(scope="module")
def database_of_two(postgres):
    with migrated(postgres) as dsn:
        with closing(opened(dsn)) as sink:
            ours = upsert(BOTH, 1, metadata={"description": "ours"})
            theirs = upsert(BOTH, 1, tenant="acme", metadata={"description": "theirs"})
            sink.write([ours, theirs, upsert(THEIRS, 1, tenant="acme")], {})
        yield dsn


@pytest.fixture
def entities(database_of_two, tmp_path):
    config = {
        "tenants": [{"id": "default"}, {"id": "acme"}],
        "kafka": {"bootstrap_servers": "127.0.0.1:1"},
        "postgres": {"dsn": database_of_two},
    }
    options = ["--config", str(write_config(tmp_path / "mainstem.yaml", config)), "--data-dir", str(tmp_path)]

    def run(*arguments):
        return CliRunner().invoke(app, ["entities", *arguments, *options])

    return run


@pytest.mark.parametrize(
    ("tenant", "refs", "description"),
    [((), [BOTH], "ours"), (("--tenant", "default"), [BOTH], "ours"), (("--tenant", "acme"), [THEIRS, BOTH], "theirs")],
)
def test_the_entities_of_the_tenant_that_is_asked_for_are_shown(entities, tenant, refs, description):
    listed = [json.loads(line) for line in entities("list", "--json", *tenant).stdout.splitlines()]
    got = json.loads(entities("get", BOTH, "--json", *tenant).stdout)
    assert [each["entity_ref"] for each in listed] == refs
    assert got["entity"]["metadata"]["description"] == description


@pytest.mark.parametrize(("filters", "refs"), [(("--kind", "API"), []), (("--q", "ledger"), [THEIRS])])
def test_a_list_is_narrowed_by_filters(entities, filters, refs):
    found = entities("list", "--json", "--tenant", "acme", *filters)
    assert (found.exit_code, [json.loads(line)["entity_ref"] for line in found.stdout.splitlines()]) == (0, refs)


def test_what_another_tenant_has_is_not_there(entities):
    assert "there is no entity component:default/ledger" in str(entities("get", THEIRS).exception)


@pytest.mark.parametrize("command", [("list",), ("get", BOTH), ("explain", BOTH)])
def test_a_tenant_that_is_not_configured_is_a_mistake(entities, command):
    found = entities(*command, "--tenant", "nowhere").exception
    assert isinstance(found, ConfigError)
    assert str(found) == "there is no tenant nowhere; configured are acme, default"
