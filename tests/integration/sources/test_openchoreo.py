"""Type `openchoreo`, against a server that answers as OpenChoreo's API does."""

import asyncio
import json
import re
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest
import yaml

from mainstem.testing.sources import PROMISES, SourceSuite
from schemas.errors import (
    AccessDeniedError,
    ConfigError,
    CursorExpiredError,
    EndlessSourceError,
    NotFoundError,
    SourceError,
    SourceUnreachableError,
    UnreadableAnswerError,
)
from sources.base import Retry, SourceSettings
from sources.openchoreo import OpenChoreoSource
from sources.publisher import draft
from sources.registry import source_class
from tests.openchoreo_server import openchoreo
from tests.source_server import with_status

TILL = {
    "endpoints": {
        "rest": {"type": "REST", "port": 8080, "schema": {"content": "openapi: 3.0.0"}},
        "stream": {"type": "Websocket", "port": 8081},
    },
    "connections": {
        "l": {"type": "api", "params": {"componentName": "ledger", "endpoint": "rpc", "projectName": "pay"}}
    },
}
LEDGER = {"endpoints": {"rpc": {"type": "gRPC", "port": 9090}}}
PAGE = Path(__file__).parents[3] / "docs/how-to/connect-openchoreo.md"
PAGES = (
    "/orgs?",
    "/orgs?after-empty",
    "/orgs/acme/projects?",
    "/orgs/acme/projects?after-pay",
    "/orgs/globex/projects?",
    "/orgs/acme/projects/lab/components?",
    "/orgs/acme/projects/pay/components?",
    "/orgs/acme/projects/pay/components?after-site",
    "/orgs/globex/projects/pay/components?",
)
"""The lists that hold something, page by page, in the order of a run."""


@pytest.fixture
def server():
    with openchoreo() as running:
        yield running


@pytest.fixture
def filled(server):
    fill(server)
    return server


def fill(server):
    refs = [server.put_org(name) for name in ("acme", "empty", "globex")]
    refs += [
        server.put_project(*path) for path in (("acme", "lab"), ("acme", "pay"), ("acme", "zoo"), ("globex", "pay"))
    ]
    refs += server.put_component("acme", "pay", "ledger", workload=LEDGER)
    refs += server.put_component("acme", "pay", "site", type="WebApplication")
    refs += server.put_component("acme", "pay", "till", workload=TILL)
    refs += server.put_component("acme", "lab", "trial", type="ScheduledTask")
    refs += server.put_component("globex", "pay", "till")
    return refs


def source(server, *, chunk_size=2, **connection):
    return OpenChoreoSource(
        SourceSettings(
            connector="choreo",
            connection={"base_url": server.base_url, **connection},
            chunk_size=chunk_size,
            retry=Retry(attempts=1),
            secret=lambda ref: {"env:TOKEN": "canary-token"}[ref],
        )
    )


def read(one, cursor=None):
    """Return the pages that came, and what ended the run."""

    async def reading():
        pages = []
        try:
            async with aclosing(one.pages(cursor)) as given:
                async for page in given:
                    pages.append(page)  # noqa: PERF401 - what came before an error is looked at too
        except SourceError as error:
            return pages, error
        return pages, None

    return asyncio.run(reading())


def refs(pages):
    return [draft(item.change, "choreo").entity_ref for page in pages for item in page.items]


def entities(pages):
    return {draft(item.change, "choreo").entity_ref: item.change["entity"] for page in pages for item in page.items}


def unread(pages):
    return {scope: why for page in pages for scope, why in page.unread.items()}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_the_source_keeps_the_promise(promise, server):
    @contextmanager
    def failing(page):
        server.failing = lambda asked: asked == PAGES[page]
        yield
        server.failing = lambda _: False

    promise(SourceSuite(make=lambda: source(server), fill=lambda: fill(server), failing=failing))


def test_organisations_come_first_then_projects_then_components_each_with_its_apis(filled):
    pages, error = read(source(filled))

    assert error is None
    assert refs(pages) == [
        "domain:default/acme", "domain:default/empty", "domain:default/globex",
        "system:acme/lab", "system:acme/pay", "system:acme/zoo", "system:globex/pay",
        "component:acme/trial", "component:acme/ledger", "api:acme/ledger-rpc", "component:acme/site",
        "component:acme/till", "api:acme/till-rest", "api:acme/till-stream", "component:globex/till",
    ]  # fmt: skip


def test_every_item_says_which_part_of_openchoreo_it_lies_in(filled):
    pages, _ = read(source(filled))
    scopes = {(draft(item.change, "choreo").entity_ref, item.scope) for page in pages for item in page.items}

    assert {
        ("domain:default/acme", "acme"),
        ("system:acme/pay", "acme/pay"),
        ("component:acme/till", "acme/pay/till"),
        ("api:acme/till-rest", "acme/pay/till"),
    } <= scopes


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


def test_cursors_hold_the_phase_the_servers_cursor_the_queues_and_the_place_in_them(filled):
    pages, _ = read(source(filled))

    assert [dict(page.cursor) for page in pages] == [
        {"phase": "orgs", "orgApiCursor": "after-empty", "orgQueue": ["acme", "empty"]},
        {"phase": "projects", "orgQueue": ["acme", "empty", "globex"]},
        {"phase": "projects", "projectApiCursor": "after-pay", "orgQueue": ["acme", "empty", "globex"],
         "projectQueue": ["acme/lab", "acme/pay"]},
        {"phase": "projects", "orgQueue": ["acme", "empty", "globex"], "currentOrgIndex": 1,
         "projectQueue": ["acme/lab", "acme/pay", "acme/zoo"]},
        {"phase": "components", "projectQueue": ["acme/lab", "acme/pay", "acme/zoo", "globex/pay"]},
        {"phase": "components", "projectQueue": ["acme/lab", "acme/pay", "acme/zoo", "globex/pay"],
         "currentProjectIndex": 1},
        {"phase": "components", "projectQueue": ["acme/lab", "acme/pay", "acme/zoo", "globex/pay"],
         "componentApiCursor": "after-site", "currentProjectIndex": 1},
        {"phase": "components", "projectQueue": ["acme/lab", "acme/pay", "acme/zoo", "globex/pay"],
         "currentProjectIndex": 2},
        {"phase": "components", "projectQueue": ["acme/lab", "acme/pay", "acme/zoo", "globex/pay"],
         "currentProjectIndex": 4},
    ]  # fmt: skip


def test_a_resumed_run_asks_for_nothing_that_was_read(filled):
    pages, _ = read(source(filled))
    for number, page in enumerate(pages):
        filled.server.asked.clear()
        rest, error = read(source(filled), json.loads(json.dumps(page.cursor)))
        assert (error, refs(rest)) == (None, refs(pages[number + 1 :]))
        assert not set(PAGES[: number + 1]) & set(filled.asked)


def test_whatever_fails_the_run_raises_and_goes_on_from_its_last_cursor(filled):
    whole, _ = read(source(filled))
    asked = list(dict.fromkeys(filled.asked))
    assert len(asked) > len(PAGES) + 3, "the details of services and empty lists are asked for too"
    for spoilt in asked:
        filled.failing = lambda told, spoilt=spoilt: told == spoilt
        pages, error = read(source(filled))
        assert isinstance(error, SourceUnreachableError), spoilt
        assert "canary" not in str(error)
        filled.failing = lambda _: False
        rest, healed = read(source(filled), pages[-1].cursor if pages else None)
        assert (healed, refs([*pages, *rest])) == (None, refs(whole)), spoilt


@pytest.mark.parametrize("status", [403, 404])
def test_a_project_that_cannot_be_read_is_told_and_the_run_goes_on(filled, status):
    filled.refused["/orgs/acme/projects/pay/components"] = status
    pages, error = read(source(filled))

    assert error is None
    assert list(unread(pages)) == ["acme/pay"]
    assert f"status {status}" in unread(pages)["acme/pay"]
    assert "component:globex/till" in refs(pages)
    assert not any("till" in ref for ref in refs(pages) if "acme" in ref)


@pytest.mark.parametrize("status", [403, 404])
def test_an_organisation_that_cannot_be_read_is_told_and_the_run_goes_on(filled, status):
    filled.refused["/orgs/acme/projects"] = status
    pages, error = read(source(filled))

    assert error is None
    assert list(unread(pages)) == ["acme"]
    assert refs(pages)[-2:] == ["system:globex/pay", "component:globex/till"]


def test_a_run_is_resumed_behind_what_it_could_not_read(filled):
    filled.refused["/orgs/acme/projects/pay/components"] = 403
    pages, _ = read(source(filled))
    told = next(page for page in pages if page.unread)
    rest, error = read(source(filled), told.cursor)

    assert (error, unread(rest), refs(rest)) == (None, {}, ["component:globex/till"])


def test_an_organisation_that_vanishes_during_a_run_is_unread(filled):
    pages, _ = read(source(filled))
    filled.remove("/orgs/acme")
    rest, error = read(source(filled), pages[1].cursor)

    assert error is None
    assert (list(unread(rest)), refs(rest)) == (["acme"], ["system:globex/pay", "component:globex/till"])


def test_a_service_whose_details_may_not_be_read_comes_without_its_apis_which_stay(filled):
    filled.refused["/orgs/acme/projects/pay/components/till"] = 403
    pages, error = read(source(filled))

    assert error is None
    assert list(unread(pages)) == ["acme/pay/till"]
    assert "component:acme/till" in refs(pages)
    assert "api:acme/till-rest" not in refs(pages)


def test_what_fails_on_the_servers_side_is_never_taken_for_a_refusal(filled):
    filled.refused["/orgs/acme/projects/pay/components"] = 503

    assert isinstance(read(source(filled))[1], SourceUnreachableError)


def test_a_token_that_runs_out_during_a_run_fails_it(filled):
    filled.token = "canary-token"
    one = source(filled, token={"secret_ref": "env:TOKEN"})
    pages, error = read(one)
    filled.token = "another"
    rest, refused = read(one, pages[1].cursor)

    assert error is None
    assert rest == []
    assert isinstance(refused, AccessDeniedError)
    assert "canary" not in str(refused)


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
