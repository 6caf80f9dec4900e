"""Type `openchoreo`: what becomes of its answers, good and bad, and of its settings."""

import re
from pathlib import Path

import pytest
import yaml

from schemas.errors import (
    AccessDeniedError,
    ConfigError,
    CursorExpiredError,
    EndlessSourceError,
    NotFoundError,
    UnreadableAnswerError,
)
from sources.base import SourceSettings
from sources.openchoreo import OpenChoreoSource
from sources.registry import source_class
from tests.integration.sources.choreo import TILL, entities, fill, read, refs, source
from tests.openchoreo_server import openchoreo
from tests.source_server import with_status

PAGE = Path(__file__).parents[3] / "docs/how-to/connect-openchoreo.md"


@pytest.fixture
def server():
    with openchoreo() as running:
        yield running


@pytest.fixture
def filled(server):
    fill(server)
    return server


def test_an_entity_says_what_openchoreo_knows_and_nothing_else(server):
    server.put_org("acme", displayName="Acme", description="Sells things", status="Active")
    server.put_project("acme", "pay")
    where = {"repository": {"url": "https://git.acme.com/till", "revision": {"branch": "main"}}}
    server.put_component(
        "acme", "pay", "till", status="Active", workload=TILL, componentWorkflow={"systemParameters": where}
    )
    found = entities(read(source(server))[0])

    assert found["domain:default/acme"] == {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Domain",
        "metadata": {
            "name": "acme",
            "namespace": "default",
            "title": "Acme",
            "description": "Sells things",
            "tags": ["openchoreo", "organization"],
            "labels": {"openchoreo.io/managed": "true"},
            "annotations": {
                "openchoreo.io/organization": "acme",
                "openchoreo.io/namespace": "acme",
                "openchoreo.io/created-at": "2026-01-01T00:00:00Z",
                "openchoreo.io/status": "Active",
            },
        },
        "spec": {},
    }
    assert found["system:acme/pay"]["spec"] == {"domain": "default/acme"}
    assert found["component:acme/till"]["spec"] == {
        "type": "service",
        "lifecycle": "active",
        "system": "pay",
        "providesApis": ["till-rest", "till-stream"],
        "consumesApis": ["ledger-rpc"],
    }
    assert found["component:acme/till"]["metadata"]["annotations"] == {
        "openchoreo.io/component": "till",
        "openchoreo.io/project": "pay",
        "openchoreo.io/organization": "acme",
        "openchoreo.io/component-uid": "u-till",
        "openchoreo.io/component-type": "Service",
        "openchoreo.io/status": "Active",
        "openchoreo.io/branch": "main",
        "backstage.io/source-location": "url:https://git.acme.com/till",
    }
    assert found["api:acme/till-rest"]["spec"] == {
        "type": "openapi",
        "lifecycle": "active",
        "system": "pay",
        "definition": "openapi: 3.0.0",
    }
    assert found["api:acme/till-stream"]["spec"]["type"] == "asyncapi"
    assert found["api:acme/till-stream"]["metadata"]["annotations"]["openchoreo.io/endpoint-port"] == "8081"


def test_one_namespace_and_an_owner_can_be_asked_for(filled):
    pages, _ = read(source(filled, namespace="default", owner="team-platform"))
    found = entities(pages)

    assert {ref.partition(":")[2].partition("/")[0] for ref in found} == {"default"}
    assert {entity["spec"]["owner"] for entity in found.values()} == {"team-platform"}


@pytest.mark.parametrize(("status", "kind"), [(401, AccessDeniedError), (403, AccessDeniedError), (404, NotFoundError)])
def test_organisations_that_cannot_be_listed_fail_the_run(filled, status, kind):
    filled.refused["/orgs"] = status

    assert isinstance(read(source(filled))[1], kind)


def test_an_empty_installation_is_read_to_its_end(server):
    assert read(source(server)) == ([], None)


def test_organisations_without_projects_and_projects_without_components_need_no_pages(server):
    server.put_org("acme")
    server.put_project("acme", "pay")
    pages, error = read(source(server))

    assert (error, refs(pages)) == (None, ["domain:default/acme", "system:acme/pay"])


@pytest.mark.parametrize("path", ["/orgs", "/orgs/acme/projects", "/orgs/acme/projects/pay/components"])
def test_a_server_whose_pages_have_no_next_cursor_is_refused(filled, path):
    def without(answer):
        if filled.server.asked[-1].path.endswith(path):
            del answer["data"]["nextCursor"]
        return answer

    filled.spoil = without
    _, error = read(source(filled))

    assert isinstance(error, UnreadableAnswerError)
    assert f"{path} answered with a page that has no nextCursor" in str(error)
    assert "upgrade" in str(error)


def test_a_cursor_that_leads_to_itself_ends_the_run(filled):
    def stuck(answer):
        answer["data"]["nextCursor"] = "after-empty"
        return answer

    filled.spoil = stuck

    assert isinstance(read(source(filled))[1], EndlessSourceError)


def test_a_cursor_that_the_server_no_longer_knows_begins_the_run_anew(filled):
    pages, _ = read(source(filled))
    filled.server.fail_at(0, with_status(410))

    assert isinstance(read(source(filled), pages[0].cursor)[1], CursorExpiredError)


@pytest.mark.parametrize("cursor", [{}, {"phase": "teams"}, {"phase": "components", "currentProjectIndex": 3}])
def test_a_saved_cursor_that_is_none_of_ours_begins_the_run_anew(filled, cursor):
    assert isinstance(read(source(filled), cursor)[1], CursorExpiredError)


@pytest.mark.parametrize(
    "answer",
    [
        {"items": [], "nextCursor": None},
        {"success": False, "data": {"items": [], "nextCursor": None}},
        {"success": True, "data": None},
        {"success": True, "data": {"items": {}, "nextCursor": None}},
        {"success": True, "data": {"items": [], "nextCursor": 1}},
    ],
)
def test_an_answer_that_is_no_list_fails_the_run(filled, answer):
    filled.spoil = lambda _: answer

    assert isinstance(read(source(filled))[1], UnreadableAnswerError)


def test_a_list_that_is_null_is_empty(server):
    server.spoil = lambda _: {"success": True, "data": {"items": None, "nextCursor": ""}}

    assert read(source(server)) == ([], None)


def test_what_has_no_name_is_refused_and_nothing_of_its_organisation_is_taken_for_deleted(filled):
    filled._lists["/orgs/acme/projects"]["pay"]["name"] = "a/b"
    pages, error = read(source(filled))
    refused = [each for page in pages for each in page.refused]

    assert (error, [each.scope for each in refused]) == (None, ["acme"])
    assert "system:acme/zoo" in refs(pages)


def test_pages_are_never_larger_than_openchoreo_allows(server):
    for number in range(120):
        server.put_org(f"o{number:03}")
    pages, error = read(source(server, chunk_size=500))

    assert (error, [len(page.items) for page in pages]) == (None, [100, 20])


def test_the_address_may_be_named_as_in_backstage(server):
    settings = SourceSettings(connector="choreo", connection={"baseUrl": server.base_url})

    assert read(source_class("openchoreo")(settings)) == ([], None)


@pytest.mark.parametrize(
    ("connection", "told"),
    [
        ({}, "connection.base_url must be an address"),
        ({"base_url": "ftp://choreo"}, "connection.base_url must be an address"),
        ({"baseUrl": 7}, "connection.baseUrl must be an address"),
        ({"base_url": "http://choreo", "token": "canary-token"}, "secret_ref"),
        ({"base_url": "http://choreo", "token": {"secret_ref": 7}}, "secret_ref"),
        ({"base_url": "http://choreo", "owner": ""}, "connection.owner must be a text"),
        ({"base_url": "http://choreo", "chunkSize": 7}, "connection.chunkSize: unknown key"),
    ],
)
def test_settings_that_cannot_be_used_are_told(connection, told):
    with pytest.raises(ConfigError, match=told) as raised:
        OpenChoreoSource(SourceSettings(connector="choreo", connection=connection))

    assert "canary" not in str(raised.value)


def test_the_connection_in_the_documents_can_be_used():
    written = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    connectors = [each for text in written for each in yaml.safe_load(text)["connectors"]]

    assert [OpenChoreoSource(SourceSettings(connector=each["connector_id"], connection=each["connection"]))
            for each in connectors if each["type"] == "openchoreo"]  # fmt: skip
