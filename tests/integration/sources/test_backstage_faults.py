"""Runs over a Backstage that does everything wrong: nothing is deleted, nothing lost, and the status tells."""

from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest

from sources.backstage import BackstageSource
from sources.base import Retry, SourceSettings
from sources.http import Limits
from tests.backstage_catalogue import LIST, Catalogue, component, ref
from tests.patience import eventually
from tests.source_server import (
    broken_off,
    empty,
    half_open,
    html,
    reset,
    source_server,
    trickle,
    truncated,
    with_body,
    with_status,
)

PAGE_SIZE = 3
ENTITIES = 11
NOTHING_LEFT = b'{"items":[],"totalItems":0,"pageInfo":{}}'


class Impatient(BackstageSource):
    limits = Limits(connect_seconds=5, read_seconds=0.3, total_seconds=1)


@pytest.fixture
def server():
    with source_server() as running:
        yield running


@pytest.fixture
def catalogue(server):
    return Catalogue(server, [component(number) for number in range(ENTITIES)])


@pytest.fixture
def source(server):
    settings = SourceSettings(
        connector="scripted",
        connection={"base_url": server.url, "auth": {"type": "bearer_token", "secret_ref": "env:TOKEN"}},
        chunk_size=PAGE_SIZE,
        retry=Retry(attempts=1),
        secret=lambda _: "canary-of-the-token",
    )
    return Impatient(settings)


def owners(entities):
    return {ref(entity): entity["spec"]["owner"] for entity in entities}


def change_every_page(catalogue):
    """Take one entity away, make one, and change one on each page."""
    gone = component(1)
    del catalogue.entities[gone["metadata"]["uid"]]
    catalogue.add(component(99))
    for number in (0, 4, 7, 10):
        catalogue.entities[component(number)["metadata"]["uid"]]["spec"]["owner"] = "team-checkout"
    return ref(gone)


SPOILT = {
    "401": (with_status(401), "AccessDeniedError", "answered with status 401"),
    "403": (with_status(403), "AccessDeniedError", "answered with status 403"),
    "404": (with_status(404), "NotFoundError", "answered with status 404"),
    "429": (with_status(429, {"Retry-After": "0"}), "RateLimitedError", "too many requests"),
    "500": (with_status(500), "SourceUnreachableError", "the server failed"),
    "503": (with_status(503), "SourceUnreachableError", "the server failed"),
    "a timeout": (trickle, "SourceUnreachableError", "did not answer in full"),
    "a half-open connection": (half_open, "SourceUnreachableError", "was silent"),
    "a reset": (reset, "SourceUnreachableError", "failed or broke"),
    "a broken connection": (broken_off, "SourceUnreachableError", "failed or broke"),
    "truncated JSON": (truncated, "UnreadableAnswerError", "only the beginning of it"),
    "HTML": (html, "UnreadableAnswerError", "a web page"),
    "an empty body": (empty, "UnreadableAnswerError", "answered with nothing"),
}


@pytest.mark.parametrize(("name", "page"), list(zip(SPOILT, cycle([1, 2, 3, 4]))))
def test_a_page_that_is_spoilt_deletes_nothing_loses_nothing_and_is_told(stage, catalogue, source, name, page):
    fault, error, sentence = SPOILT[name]
    stage.look(source)
    gone = change_every_page(catalogue)
    catalogue.server.fail_at(page, fault)
    failed = stage.look(source)
    told, kept = failed["last_error_message"], gone in stage.held()
    catalogue.server.heal()
    # It waits for less than a second: a machine that stands still for as long fails it once more.
    healed = eventually(lambda: (state := stage.look(source))["consecutive_failures"] == 0 and state)
    assert (
        (failed["last_error_class"], sentence in told, f"{catalogue.server.url}{LIST}" in told, "canary" in told),
        (kept, failed["consecutive_failures"], healed["consecutive_failures"]),
        owners(stage.held().values()),
    ) == ((error, True, True, False), (True, 1, 0), owners(catalogue.entities.values()))


@pytest.mark.parametrize(("page", "error"), [(1, "EmptyAnswerError"), (2, "PartialRunError"), (4, "PartialRunError")])
def test_a_page_that_says_nothing_is_left_deletes_nothing(stage, catalogue, source, page, error):
    stage.look(source)
    gone = change_every_page(catalogue)
    catalogue.server.fail_at(page, with_body(lambda _: NOTHING_LEFT))
    failed = stage.look(source)
    kept = gone in stage.held()
    catalogue.server.heal()
    stage.look(source)
    assert (failed["last_error_class"], "nothing is" in str(failed["last_error_message"]), kept) == (error, True, True)
    assert owners(stage.held().values()) == owners(catalogue.entities.values())


def test_entities_that_come_twice_in_a_run_are_published_once_and_delete_nothing(stage, catalogue, source):
    catalogue.overlap = 2
    state = stage.look(source)
    run = stage.runs[-1]
    assert (state["last_error_class"], run["outcome"], run["published"], len(stage.changes())) == (
        None,
        "complete",
        ENTITIES,
        ENTITIES,
    )


def test_an_entity_that_moves_to_a_page_that_was_read_is_not_deleted(stage, catalogue, source):
    stage.look(source)
    catalogue.before_page[2] = lambda: (catalogue.move("pay-0000", 900), catalogue.move("pay-0007", 0))
    moved = stage.look(source)
    held = stage.held()
    stage.look(source)
    assert (
        moved["last_error_class"],
        moved["last_error_message"],
        len(held),
        owners(stage.held().values()),
        stage.state["consecutive_failures"],
    ) == (
        "PartialRunError",
        "the source says that it holds 11 entities, and gave 10: nothing is deleted",
        ENTITIES,
        owners(catalogue.entities.values()),
        0,
    )


@pytest.mark.parametrize("page", [1, 3])
def test_cursors_that_expire_within_a_run_delete_nothing_and_the_next_run_reads_everything(
    stage, catalogue, source, page
):
    stage.look(source)
    gone = change_every_page(catalogue)
    catalogue.before_page[page] = catalogue.expire_cursors
    failed = stage.look(source)
    kept = gone in stage.held()
    stage.look(source)
    assert (failed["last_error_class"], "no longer known" in failed["last_error_message"], kept) == (
        "CursorExpiredError",
        True,
        True,
    )
    assert owners(stage.held().values()) == owners(catalogue.entities.values())


def test_a_saved_cursor_that_has_expired_begins_anew_at_once(stage, server, catalogue, source):
    stage.look(source)
    change_every_page(catalogue)
    server.fail_at(3, with_status(500))
    stage.look(source)
    server.heal()
    catalogue.expire_cursors()
    stage.look(source, times=2)
    assert (stage.runs[-2]["error_class"], stage.state["consecutive_failures"], owners(stage.held().values())) == (
        "CursorExpiredError",
        0,
        owners(catalogue.entities.values()),
    )


@pytest.mark.parametrize(("page", "target"), [(2, 2), (4, 2)])
def test_cursors_that_loop_delete_nothing_and_are_told(stage, catalogue, source, page, target):
    stage.look(source)
    gone = change_every_page(catalogue)
    catalogue.loops = {page: target}
    failed = stage.look(source)
    kept = gone in stage.held()
    catalogue.loops = {}
    stage.look(source)
    assert (failed["last_error_class"], "again and again" in failed["last_error_message"], kept) == (
        "EndlessSourceError",
        True,
        True,
    )
    assert owners(stage.held().values()) == owners(catalogue.entities.values())


def test_a_last_page_that_comes_for_ever_deletes_nothing_and_is_told(stage, catalogue, source):
    stage.look(source)
    gone = change_every_page(catalogue)
    catalogue.repeats_last = True
    failed = stage.look(source)
    kept, asked = gone in stage.held(), len(catalogue.page_numbers)
    catalogue.repeats_last = False
    stage.look(source)
    assert (failed["last_error_class"], "again and again" in failed["last_error_message"], kept, asked < 20) == (
        "EndlessSourceError",
        True,
        True,
        True,
    )
    assert owners(stage.held().values()) == owners(catalogue.entities.values())


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_is_wrong_by_years_changes_nothing(stage, server, catalogue, source, years):
    server.ahead = timedelta(days=365 * years)
    stage.look(source)
    change_every_page(catalogue)
    state = stage.look(source)
    assert (state["consecutive_failures"], owners(stage.held().values())) == (
        0,
        owners(catalogue.entities.values()),
    )


def test_a_server_that_asks_for_an_hour_is_left_alone_for_an_hour(stage, server, catalogue, source):
    server.fail_at(1, with_status(429, {"Retry-After": "3600"}))
    state = stage.look(source, times=3)
    wait = state["next_run_at"] - datetime.now(UTC)
    assert (wait > timedelta(minutes=50), len(catalogue.page_numbers)) == (True, 1)


def test_what_backstage_has_from_mainstem_is_no_shortage_and_is_not_published(stage, catalogue, source):
    catalogue.add(component(1, **{"backstage.io/managed-by-location": "mainstem:default"}))
    stage.look(source)
    run = stage.runs[-1]
    assert (run["outcome"], run["left_out"], len(stage.held())) == ("complete", 1, ENTITIES - 1)


@pytest.mark.usefixtures("catalogue")
def test_a_backstage_that_processed_every_entity_again_publishes_nothing(stage, catalogue, source):
    stage.look(source)
    catalogue.touch()
    stage.look(source)
    assert [run["published"] for run in stage.runs] == [ENTITIES, 0]
