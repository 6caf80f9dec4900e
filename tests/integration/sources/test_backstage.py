"""Reading a Backstage: everything once, nothing of our own, and on every fault an end from which it goes on."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest

from schemas.canonical import canonical_json
from schemas.changes import Origin, read_change
from schemas.codec import decode_change
from schemas.errors import (
    AccessDeniedError,
    ConfigError,
    CursorExpiredError,
    NotFoundError,
    RateLimitedError,
    SourceUnreachableError,
    UnreadableAnswerError,
)
from sources.backstage import BackstageSource
from sources.base import Retry, SourceSettings
from sources.publisher import draft
from tests.backstage_catalogue import LIST, Catalogue, component, ref
from tests.source_server import (
    as_json,
    broken_off,
    empty,
    html,
    reset,
    source_server,
    truncated,
    with_body,
    with_status,
)

PAGES = 4
PAGE_SIZE = 3


@pytest.fixture
def server():
    with source_server() as running:
        yield running


@pytest.fixture
def catalogue(server):
    """Return a catalogue of four pages, the last not full."""
    return Catalogue(server, [component(number) for number in range(PAGES * PAGE_SIZE - 1)])


def source(server, **options):
    settings = {
        "connector": "backstage",
        "connection": {"base_url": server.url, "auth": {"type": "bearer_token", "secret_ref": "env:TOKEN"}},
        "chunk_size": PAGE_SIZE,
        "retry": Retry(attempts=1),
        "secret": lambda _: "canary-of-the-token",
    }
    return BackstageSource(SourceSettings(**settings | options))


async def _read(source, cursor):
    pages, error = [], None
    async with aclosing(source.pages(cursor)) as generator:
        try:
            async for page in generator:
                pages.append(page)  # noqa: PERF401 - what came before an error stays
        except Exception as raised:  # noqa: BLE001 - what it was is what the tests ask
            error = raised
    return pages, error


def read(source, cursor=None):
    """Return the pages that came, and what ended them, None if it was the end of the list."""
    return asyncio.run(_read(source, cursor))


def refs(pages):
    return [ref(item.change["entity"]) for page in pages for item in page.items]


def test_a_run_brings_every_entity_once_and_says_how_many_there_are(server, catalogue):
    pages, error = read(source(server))
    totals = {page.total for page in pages}
    assert (error, refs(pages), totals) == (None, catalogue.refs, {PAGES * PAGE_SIZE - 1})


@pytest.mark.usefixtures("catalogue")
def test_pages_have_five_hundred_entities_where_the_configuration_says_nothing(server):
    read(source(server, chunk_size=BackstageSource.page_size))
    assert server.asked[0].params == {"limit": "500"}


@pytest.mark.usefixtures("catalogue")
def test_the_token_goes_with_every_request(server):
    read(source(server))
    assert [each.headers.get("authorization") for each in server.asked] == ["Bearer canary-of-the-token"] * PAGES


@pytest.mark.usefixtures("catalogue")
def test_a_backstage_without_authentication_is_asked_without_a_token(server):
    _, error = read(source(server, connection={"base_url": f"{server.url}/", "auth": {"type": "none"}}))
    assert (error, {"authorization" in each.headers for each in server.asked}) == (None, {False})


def test_what_only_backstage_says_does_not_make_an_entity_look_changed(server, catalogue):
    before, _ = read(source(server))
    catalogue.touch()
    after, _ = read(source(server))
    assert [canonical_json(item.change) for page in before for item in page.items] == [
        canonical_json(item.change) for page in after for item in page.items
    ]


@pytest.mark.usefixtures("catalogue")
def test_relations_are_there_for_the_extraction(server):
    pages, _ = read(source(server))
    relations = pages[0].items[0].change["entity"]["relations"]
    assert {each["type"] for each in relations} == {"dependsOn", "ownedBy"}


@pytest.mark.usefixtures("catalogue")
def test_an_entity_of_backstage_is_a_change_that_keeps_all_rules_and_its_relations_are_not_kept(server):
    pages, _ = read(source(server))
    drafted = draft(pages[0].items[0].change, "backstage", is_complete=True)
    origin = Origin(connector="backstage", tenant="default", is_complete=True, timestamp=0, id="t/0/0")
    change = read_change(decode_change(drafted.value), origin)
    assert (drafted.entity_ref, b"relations" in change.record.content) == ("component:default/pay-0000", False)


@pytest.mark.parametrize(
    "origin",
    [
        "mainstem:default/component:default/pay",
        "url:https://mainstem.acme.com/backstage/v1/locations/s3cret/0.yaml",
        "url:https://proxy.acme.com/catalogue/backstage/v1/locations/s3cret/15.yaml?x=1",
        "https://mainstem.acme.com/backstage/v1/locations/s3cret/0.yaml",
    ],
)
def test_what_backstage_has_from_mainstem_is_left_out_and_counted(server, catalogue, origin):
    catalogue.add(component(1, **{"backstage.io/managed-by-location": origin}))
    pages, error = read(source(server))
    left_out = [page.left_out for page in pages]
    assert (error, left_out, "component:default/pay-0001" in refs(pages)) == (None, [1, 0, 0, 0], False)


@pytest.mark.parametrize(
    "origin", ["url:https://[", "url:https://git.acme.com/x?/backstage/v1/locations/", "mainstem", "file:./mainstem:"]
)
def test_what_only_looks_like_ours_is_read(server, catalogue, origin):
    catalogue.add(component(1, **{"backstage.io/managed-by-location": origin}))
    pages, _ = read(source(server))
    assert refs(pages) == catalogue.refs


def test_something_that_is_no_entity_is_refused_with_its_place(server):
    body = {"items": [component(1), "canary", {"kind": "Component"}, None], "totalItems": 4, "pageInfo": {}}
    server.serve(LIST, lambda _: as_json(body))
    pages, error = read(source(server))
    (page,) = pages
    places = [each.place for each in page.refused] + [each.place for each in page.items]
    assert error is None
    assert (len(page.items), len(page.refused), any("canary" in place for place in places)) == (2, 2, False)
    assert page.items[1].place.endswith(LIST)


FAULTS = {
    "401": (with_status(401), AccessDeniedError),
    "403": (with_status(403), AccessDeniedError),
    "404": (with_status(404), NotFoundError),
    "429": (with_status(429, {"Retry-After": "7"}), RateLimitedError),
    "500": (with_status(500), SourceUnreachableError),
    "503": (with_status(503), SourceUnreachableError),
    "reset": (reset, SourceUnreachableError),
    "broken off": (broken_off, SourceUnreachableError),
    "truncated": (truncated, UnreadableAnswerError),
    "a web page": (html, UnreadableAnswerError),
    "nothing": (empty, UnreadableAnswerError),
    "a list": (with_body(lambda _: b"[]"), UnreadableAnswerError),
    "no items": (with_body(lambda _: b'{"totalItems":1,"pageInfo":{}}'), UnreadableAnswerError),
    "no total": (with_body(lambda _: b'{"items":[],"pageInfo":{}}'), UnreadableAnswerError),
    "no pageInfo": (with_body(lambda _: b'{"items":[],"totalItems":1}'), UnreadableAnswerError),
    "a numeric cursor": (
        with_body(lambda _: b'{"items":[{}],"totalItems":1,"pageInfo":{"nextCursor":7}}'),
        UnreadableAnswerError,
    ),
    "an empty page with a cursor": (
        with_body(lambda _: b'{"items":[],"totalItems":1,"pageInfo":{"nextCursor":"x"}}'),
        UnreadableAnswerError,
    ),
}


@pytest.mark.parametrize("failing", range(1, PAGES + 1))
@pytest.mark.parametrize("name", FAULTS)
def test_a_page_that_fails_ends_the_run_and_the_last_good_cursor_goes_on_exactly_there(
    server, catalogue, name, failing
):
    fault, expected = FAULTS[name]
    server.fail_at(failing, fault)
    first, error = read(source(server))
    server.heal()
    cursor = first[-1].cursor if first else None
    second, none = read(source(server), cursor)
    assert (type(error), "canary" in str(error), none, refs(first) + refs(second), catalogue.page_numbers) == (
        expected,
        False,
        None,
        catalogue.refs,
        [*range(1, failing + 1), *range(failing, PAGES + 1)],
    )


def test_a_page_that_fails_for_a_moment_fails_nothing(server, catalogue):
    for failing in range(1, PAGES + 1):
        server.fail_at(failing, with_status(503), times=1)
    pages, error = read(source(server, retry=Retry(attempts=2, backoff_seconds=(0.01,))))
    assert (error, refs(pages)) == (None, catalogue.refs)


@pytest.mark.parametrize("pages_before", range(1, PAGES))
def test_a_cursor_that_backstage_no_longer_knows_is_told(server, catalogue, pages_before):
    catalogue.before_page[pages_before] = catalogue.expire_cursors
    pages, error = read(source(server))
    assert (type(error), "canary" in str(error), len(pages)) == (CursorExpiredError, False, pages_before)


@pytest.mark.usefixtures("catalogue")
def test_a_refusal_of_the_first_page_is_no_expired_cursor(server):
    server.fail_at(1, with_status(400))
    _, error = read(source(server))
    assert type(error) is UnreadableAnswerError


@pytest.mark.parametrize(
    "cursor", [{}, {"cursor": "x", "total": 3}, {"base_url": "https://other.acme.com", "cursor": "x", "total": 3}]
)
def test_a_cursor_of_another_backstage_is_not_followed(server, cursor):
    _, error = read(source(server), cursor)
    assert (type(error), server.asked) == (CursorExpiredError, [])


def test_entities_that_come_twice_in_a_run_end_nothing(server, catalogue):
    catalogue.overlap = 2
    pages, error = read(source(server))
    assert (error, set(refs(pages))) == (None, set(catalogue.refs))


def test_an_entity_that_moves_behind_what_was_read_comes_twice_and_one_that_moves_ahead_is_missed(server, catalogue):
    catalogue.before_page[2] = lambda: (catalogue.move("pay-0000", 900), catalogue.move("pay-0007", 0))
    pages, error = read(source(server))
    found = refs(pages)
    assert (error, found.count("component:default/pay-0000"), found.count("component:default/pay-0007")) == (None, 2, 0)


def test_a_clock_that_is_years_ahead_changes_nothing(server, catalogue):
    server.ahead = timedelta(days=4000)
    pages, error = read(source(server))
    assert (error, refs(pages)) == (None, catalogue.refs)


@pytest.mark.parametrize(
    ("connection", "named"),
    [
        ({}, "base_url"),
        ({"base_url": "https://backstage.acme.com", "token": "canary"}, "connection.token: unknown key"),
    ],
)
def test_a_connection_that_cannot_be_used_is_refused_at_the_start(connection, named):
    with pytest.raises(ConfigError, match=named) as raised:
        BackstageSource(SourceSettings(connector="backstage", connection=connection))
    assert "canary" not in str(raised.value)
