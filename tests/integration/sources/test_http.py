"""The client that sources share, against a server that does everything wrong."""

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from schemas.errors import (
    AccessDeniedError,
    ConfigError,
    CursorExpiredError,
    NotFoundError,
    RateLimitedError,
    SourceError,
    SourceUnreachableError,
    UnreadableAnswerError,
)
from sources.base import MAX_RETRY_AFTER_SECONDS, Retry, SourceSettings
from sources.connection import auth_headers, base_url
from sources.http import HttpClient, Limits, retry_after
from tests.patience import granted
from tests.source_server import (
    Reply,
    as_json,
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

ONCE = Retry(attempts=1)
THRICE = Retry(attempts=3, backoff_seconds=(0.01,))
IMPATIENT = Limits(connect_seconds=2, read_seconds=0.3, total_seconds=1, max_bytes=100_000)
LARGE = b"[" + b"0," * 50_000 + b"0]"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def server():
    with source_server() as running:
        running.serve("/list", lambda _: as_json({"items": list(range(2000))}))
        yield running


def fetched(url, *, retry=ONCE, headers=dict, limits=IMPATIENT, path="/list", **options):
    async def fetch():
        async with HttpClient(url, retry=retry, headers=headers, limits=limits) as client:
            return await client.get_json(path, {"limit": 5}, **options)

    return asyncio.run(fetch())


def error_of(url, **options):
    with pytest.raises(SourceError) as raised:
        fetched(url, **options)
    return raised.value


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (with_status(401), AccessDeniedError),
        (with_status(403), AccessDeniedError),
        (with_status(404), NotFoundError),
        (with_status(429), RateLimitedError),
        (with_status(503, {"Retry-After": "0"}), RateLimitedError),
        (with_status(500), SourceUnreachableError),
        (with_status(503), SourceUnreachableError),
        (with_status(408), SourceUnreachableError),
        (with_status(410), UnreadableAnswerError),
        (with_status(204), UnreadableAnswerError),
        (half_open, SourceUnreachableError),
        (trickle, SourceUnreachableError),
        (reset, SourceUnreachableError),
        (broken_off, SourceUnreachableError),
        (truncated, UnreadableAnswerError),
        (html, UnreadableAnswerError),
        (empty, UnreadableAnswerError),
        (with_body(lambda _: b"[NaN]"), UnreadableAnswerError),
        (with_body(lambda _: b"[" * 100_000), UnreadableAnswerError),
        (with_body(lambda _: b"no gzip", {"Content-Encoding": "gzip"}), UnreadableAnswerError),
        (with_body(lambda _: LARGE), UnreadableAnswerError),
        (with_body(lambda _: gzip.compress(LARGE), {"Content-Encoding": "gzip"}), UnreadableAnswerError),
    ],
)
def test_what_a_server_does_wrong_is_one_kind_of_error_and_a_sentence_without_its_words(server, fault, expected):
    server.fail_at(0, fault)
    error = error_of(f"{server.url}/", headers=lambda: {"authorization": "Bearer canary-of-the-token"})
    said = str(error)
    assert (type(error), said.count(f"{server.url}/list"), "canary" in said, "?" in said.split(" ", maxsplit=1)[0]) == (
        expected,
        1,
        False,
        False,
    )


def test_a_server_that_is_not_there_is_unreachable(server):
    server.stop()
    assert type(error_of(server.url)) is SourceUnreachableError


def test_a_status_means_an_expired_cursor_where_the_source_says_so(server):
    server.fail_at(0, with_status(410))
    assert type(error_of(server.url, expired=frozenset({410}))) is CursorExpiredError


@pytest.mark.parametrize("fault", [with_status(500), with_status(429, {"Retry-After": "0"}), half_open, reset])
def test_what_may_pass_is_asked_for_again(server, fault):
    server.fail_at(0, fault, times=2)
    assert (len(fetched(server.url, retry=THRICE)["items"]), len(server.asked)) == (2000, 3)


@pytest.mark.parametrize("fault", [with_status(403), with_status(404), html, truncated])
def test_what_does_not_pass_by_itself_is_asked_for_once(server, fault):
    server.fail_at(0, fault)
    error_of(server.url, retry=THRICE)
    assert len(server.asked) == 1


def test_only_the_errors_that_the_configuration_names_are_tried_again(server):
    server.fail_at(0, with_status(500))
    error_of(server.url, retry=Retry(attempts=3, backoff_seconds=(0.01,), on=frozenset({"timeout", "connection"})))
    assert len(server.asked) == 1


def test_each_backoff_is_waited_for(server):
    server.fail_at(0, with_status(500))
    error_of(server.url, retry=Retry(attempts=4, backoff_seconds=(0.1, 0.3)))
    gaps = [after.at - before.at for before, after in pairwise(server.asked)]
    assert [gap >= least for gap, least in zip(gaps, (0.1, 0.3, 0.3), strict=True)] == [True] * 3


def test_a_retry_after_of_seconds_is_slept_through_and_a_longer_one_is_raised_for_the_runner(server):
    server.fail_at(0, with_status(429, {"Retry-After": "1"}), times=1)
    fetched(server.url, retry=THRICE)
    slept = server.asked[1].at - server.asked[0].at
    server.fail_at(0, with_status(429, {"Retry-After": "61"}))
    error = error_of(server.url, retry=THRICE)
    assert (slept >= 1, error.retry_after, len(server.asked)) == (True, 61.0, 3)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "9" * 5000}, MAX_RETRY_AFTER_SECONDS),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=30), usegmt=True)}, 30.0),
        ({"retry-after": format_datetime(NOW - timedelta(days=9), usegmt=True)}, 0.0),
        ({"retry-after": format_datetime(NOW + timedelta(days=3650), usegmt=True)}, MAX_RETRY_AFTER_SECONDS),
        (
            {
                "date": format_datetime(NOW + timedelta(days=3650), usegmt=True),
                "retry-after": format_datetime(NOW + timedelta(days=3650, seconds=30), usegmt=True),
            },
            30.0,
        ),
    ],
)
def test_a_retry_after_is_read_as_seconds_or_a_date_of_the_servers_own_clock(headers, expected):
    assert retry_after(headers, NOW) == expected


def test_the_total_of_an_attempt_is_bounded(server):
    server.fail_at(0, trickle)
    began = granted()
    error_of(server.url)
    assert granted() - began < 5


def test_a_redirect_within_the_origin_is_followed_with_the_token(server):
    server.serve("/old", lambda _: Reply(status=307, headers={"Location": "/list"}))
    fetched(server.url, path="/old", headers=lambda: {"authorization": "Bearer a"})
    assert [request.headers.get("authorization") for request in server.asked] == ["Bearer a", "Bearer a"]


@pytest.mark.parametrize("target", ["http://localhost:{port}/list", "//127.0.0.1:1/list", "https://127.0.0.1:{port}/"])
def test_a_redirect_to_another_origin_is_never_followed(server, target):
    location = target.format(port=server.url.rpartition(":")[2])
    server.serve("/old", lambda _: Reply(status=302, headers={"Location": location}))
    error = error_of(server.url, path="/old")
    assert (type(error), len(server.asked)) == (UnreadableAnswerError, 1)


@pytest.mark.parametrize("location", ["/old", "http://[", "file:///etc/passwd"])
def test_a_redirect_that_leads_nowhere_ends(server, location):
    server.serve("/old", lambda _: Reply(status=302, headers={"Location": location}))
    assert type(error_of(server.url, path="/old")) is UnreadableAnswerError


def test_a_lone_surrogate_in_one_text_does_not_make_the_page_unreadable(server):
    server.serve("/list", lambda _: Reply(body=json.dumps({"items": ["\ud800"]}).encode()))
    assert fetched(server.url) == {"items": ["\ud800"]}


def test_json_that_is_no_object_is_unreadable_where_one_is_promised(server):
    server.serve("/list", lambda _: as_json([1]))

    async def fetch():
        async with HttpClient(server.url) as client:
            return (await client.get("/list")).json_object()

    with pytest.raises(UnreadableAnswerError, match="no object"):
        asyncio.run(fetch())


def test_a_token_is_fetched_anew_for_every_attempt(server):
    tokens = iter(["old", "new"])
    connection = {"base_url": server.url, "auth": {"type": "bearer_token", "secret_ref": "env:TOKEN"}}
    settings = SourceSettings(connector="pay", connection=connection, secret=lambda _: next(tokens))
    server.fail_at(0, with_status(500), times=1)
    fetched(base_url(settings), retry=THRICE, headers=auth_headers(settings))
    assert [request.headers["authorization"] for request in server.asked] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("token", ["ca\nnary", "canäry", "ca nary", "ca\0nary"])
def test_a_token_that_no_header_can_carry_is_not_repeated(server, token):
    connection = {"auth": {"type": "bearer_token", "secret_ref": "env:TOKEN"}}
    settings = SourceSettings(connector="pay", connection=connection, secret=lambda _: token)
    with pytest.raises(ConfigError) as raised:
        fetched(server.url, headers=auth_headers(settings))
    assert (token in str(raised.value), server.asked) == (False, [])


@pytest.mark.parametrize(
    "connection",
    [
        {},
        {"base_url": "backstage.acme.com"},
        {"base_url": "ftp://backstage.acme.com"},
        {"base_url": "https://"},
        {"base_url": "https://me:canary@backstage.acme.com"},
        {"base_url": "https://backstage.acme.com/?token=canary"},
        {"base_url": "https://backstage.acme.com", "auth": {"type": "canary"}},
        {"base_url": "https://backstage.acme.com", "auth": {"type": "bearer_token"}},
        {"base_url": "https://backstage.acme.com", "auth": {"type": "bearer_token", "secret_ref": "a", "tokn": "b"}},
        {"base_url": "https://backstage.acme.com", "auth": "canary"},
    ],
)
def test_a_connection_that_cannot_be_used_is_refused_without_repeating_it(connection):
    settings = SourceSettings(connector="pay", connection=connection)
    with pytest.raises(ConfigError, match=r"connector pay: connection\.") as raised:
        (base_url(settings), auth_headers(settings))
    assert "canary" not in str(raised.value)
