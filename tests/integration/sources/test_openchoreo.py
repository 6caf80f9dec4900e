"""Type `openchoreo`, against a server that answers as OpenChoreo's API does: whole runs, and runs that are not."""

import json
from contextlib import contextmanager

import pytest

from mainstem.testing.sources import PROMISES, SourceSuite
from schemas.errors import AccessDeniedError, SourceUnreachableError
from sources.publisher import draft
from tests.integration.sources.choreo import PAGES, fill, read, refs, source, unread
from tests.openchoreo_server import openchoreo


@pytest.fixture
def server():
    with openchoreo() as running:
        yield running


@pytest.fixture
def filled(server):
    fill(server)
    return server


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
