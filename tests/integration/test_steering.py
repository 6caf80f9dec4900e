"""Steering connectors over the HTTP API, on rows as a runner leaves them."""

import re
import uuid
from datetime import UTC, datetime

import pytest

from sources.steering import Configured
from tests.integration.connector_rows import Rows, emptied, migrated
from tests.integration.test_api import serving

CONNECTORS = (
    Configured(id="git", type="git", is_central=True),
    Configured(id="cmdb", type="service_now"),
    Configured(id="team", type="external", runs_here=False),
    Configured(id="off", type="git", enabled=False),
)
JSON = {"content-type": "application/json"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def shared(postgres):
    with migrated(postgres) as dsn, serving(dsn=dsn, connectors=CONNECTORS) as client:
        yield client, dsn


@pytest.fixture
def api(shared):
    client, dsn = shared
    emptied(dsn)
    return client


@pytest.fixture
def rows(api, shared):
    del api
    return Rows(shared[1])


def status(api, connector="git"):
    return api.get(f"/v1/connectors/{connector}/status").json()


def test_a_connector_without_rows_is_idle(api):
    assert status(api) == {
        "connector_id": "git",
        "type": "git",
        "enabled": True,
        "state": "idle",
        "last_success_at": None,
        "last_error": None,
        "entities": 0,
        "consecutive_failures": 0,
        "next_run_at": None,
        "progress": None,
        "held_deletions": 0,
    }


def everything(rows):
    rows.begin(pages=3, entities=120)
    rows.hold("a", "b")
    rows.state(paused=True, consecutive_failures=3, last_success_at=datetime.now(UTC))


@pytest.mark.parametrize(
    ("lifted", "state"),
    [
        ({}, "paused"),
        ({"paused": False}, "alert"),
        ({"paused": False, "consecutive_failures": 2}, "running"),
        ({"paused": False, "consecutive_failures": 2, "run": None}, "held"),
    ],
)
def test_a_state_hides_the_lesser_ones(api, rows, lifted, state):
    everything(rows)
    rows.state(**lifted)
    assert status(api)["state"] == state


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({"consecutive_failures": 1}, "backing_off"),
        ({"consecutive_failures": 2, "last_success_at": datetime.now(UTC)}, "backing_off"),
        ({"consecutive_failures": 3}, "alert"),
        ({"last_success_at": datetime.now(UTC)}, "resting"),
        ({}, "idle"),
    ],
)
def test_a_state_without_a_run_under_way(api, rows, columns, state):
    rows.state(**columns)
    assert status(api)["state"] == state


def test_a_connector_whose_last_run_only_failed_once_rests_after_a_reset(api, rows):
    rows.run("failed")
    rows.state()
    assert status(api)["state"] == "resting"


def test_a_run_whose_runner_is_dead_is_none(api, rows):
    rows.begin(pages=3)
    rows.lease(seconds=-1)
    found = status(api)
    assert (found["state"], found["progress"]) == ("idle", None)


def test_the_progress_of_a_run_is_told(api, rows):
    rows.begin(pages=3, entities=120)
    assert status(api)["progress"] == {"pages": 3, "entities": 120}


def test_only_open_holds_hold_a_connector(api, rows):
    rows.hold("a", state="rejected")
    rows.hold("b", days=-1)
    found = status(api)
    assert (found["state"], found["held_deletions"]) == ("idle", 0)


def test_the_last_error_and_the_times_are_told(api, rows):
    rows.state(
        consecutive_failures=1,
        last_error_class="SourceUnreachableError",
        last_error_message="no answer",
        last_error_at=datetime(2026, 5, 1, 10, 0, 0, 123_456, tzinfo=UTC),
        next_run_at=datetime(2026, 5, 1, 10, 1, tzinfo=UTC),
    )
    found = status(api)
    error = {"class": "SourceUnreachableError", "message": "no answer", "at": "2026-05-01T10:00:00.123Z"}
    assert (found["last_error"], found["next_run_at"]) == (error, "2026-05-01T10:01:00.000Z")


def test_entities_are_those_of_the_ledger_on_the_cluster_of_now(api, rows):
    rows.state()
    rows.ledger("a", "b")
    rows.ledger("c", cluster_id="a cluster that is gone")
    assert status(api)["entities"] == 2


def test_entities_of_a_connector_without_a_ledger_are_its_live_records(api, rows):
    rows.do(
        "INSERT INTO entity_records (id, tenant, data_source, entity_ref, content_hash, last_touched, deleted,"
        " generation, source_version, change_id, state_version, expiration_date)"
        " SELECT gen_random_uuid(), 'default', 'team', 'component:default/c' || n, 'h', now(), n = 1, 0, 1, '', 1,"
        " CASE WHEN n = 2 THEN now() - interval '1 s' WHEN n = 3 THEN now() + interval '1 h' END"
        " FROM generate_series(1, 5) n"
    )
    assert status(api, "team")["entities"] == 3


def test_a_status_is_not_sent_again_while_it_is_the_same(api, rows):
    etag = api.get("/v1/connectors/git/status").headers["etag"]
    again = api.get("/v1/connectors/git/status", headers={"If-None-Match": f'"else", W/{etag}'})
    rows.ledger("a")
    changed = api.get("/v1/connectors/git/status?fields=entities", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, changed.json()) == (304, b"", {"entities": 1})


def test_connectors_are_listed_by_id_page_by_page(api):
    found, cursor = [], None
    while cursor or not found:
        page = api.get("/v1/connectors", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        found += [(each["connector_id"], each["enabled"]) for each in page["items"]]
        cursor = page["next_cursor"]
    assert (page["total"], found) == (4, [("cmdb", True), ("git", True), ("off", False), ("team", True)])


@pytest.mark.parametrize(
    ("body", "full"), [({}, True), ({"json": {}}, True), ({"json": {"full": False}}, False), ({"json": None}, True)]
)
def test_a_sync_is_asked_for(api, rows, body, full):
    answer = api.post("/v1/connectors/git/sync", **body)
    requested_at, requested_full = rows.read("requested_at", "requested_full")
    assert (202, "git", True, full) == (
        answer.status_code,
        answer.json()["connector_id"],
        requested_at is not None,
        requested_full,
    )


def test_a_request_for_everything_is_not_lessened_by_another(api, rows):
    api.post("/v1/connectors/git/sync")
    api.post("/v1/connectors/git/sync", json={"full": False})
    assert rows.read("requested_full") == (True,)


def test_a_request_for_everything_that_failed_is_not_lessened_by_another(api, rows):
    rows.state(requested_at=None, requested_full=True)
    api.post("/v1/connectors/git/sync", json={"full": False})
    assert rows.read("requested_full") == (True,)


@pytest.mark.parametrize("phase", ["burst", "interstitial", "sweep"])
def test_a_sync_is_refused_while_a_run_is_under_way_also_between_bursts(api, rows, phase):
    rows.begin()
    rows.state(phase=phase)
    answer = api.post("/v1/connectors/git/sync")
    assert (
        answer.status_code,
        answer.headers["content-type"],
        rows.read("requested_at"),
    ) == (409, "application/problem+json", (None,))


def test_a_sync_can_be_asked_for_when_the_runner_is_dead(api, rows):
    rows.begin()
    rows.lease(seconds=-1)
    assert api.post("/v1/connectors/git/sync").status_code == 202


@pytest.mark.parametrize("body", [{"full": "yes"}, {"ful": True}, [], "x"])
def test_a_wrong_body_is_refused(api, rows, body):
    answer = api.post("/v1/connectors/git/sync", json=body)
    assert (answer.status_code, rows.read("requested_at")) == (422, None)


def test_a_body_is_read_whatever_it_is_said_to_be_and_its_faults_are_told_by_pointer(api, rows):
    said = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = api.post("/v1/connectors/git/sync", content=b'{"full": 1, "ful": true}', headers=said).json()
    answer = api.post("/v1/connectors/git/sync", content=b'{"full": false}', headers=said)
    assert [each["at"] for each in refused["faults"]] == ["/full", "/ful"]
    assert (answer.status_code, rows.read("requested_full")) == (202, (False,))


def test_a_body_that_is_too_large_is_refused(api):
    bodies = (b"{%s}" % (b" " * 1_048_574), b"{%s}" % (b" " * 1_048_575), iter([b" " * 1_048_576, b"{}"]))
    answers = [api.post("/v1/connectors/git/sync", content=each, headers=JSON) for each in bodies]
    assert [each.status_code for each in answers] == [202, 413, 413]
    assert answers[1].headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("verb", ["sync", "pause", "resume", "reset"])
def test_what_others_publish_cannot_be_steered(api, verb):
    answer = api.post(f"/v1/connectors/team/{verb}")
    assert (
        answer.status_code,
        answer.json()["detail"],
    ) == (409, "connector team does not run here: others publish its changes")


def test_a_connector_that_is_not_enabled_runs_for_nobody(api):
    assert api.post("/v1/connectors/off/sync").status_code == 409


def test_a_pause_holds_until_it_is_undone(api, rows):
    rows.state(next_run_at=datetime.now(UTC))
    paused = api.post("/v1/connectors/git/pause").json()
    resumed = api.post("/v1/connectors/git/resume").json()
    assert (paused["state"], paused["next_run_at"], resumed["state"]) == ("paused", None, "idle")
    assert resumed["next_run_at"] is not None


def test_a_connector_that_never_ran_can_be_paused(api, rows):
    api.post("/v1/connectors/git/pause")
    assert rows.read("paused") == (True,)


def test_a_reset_ends_the_run_and_forgets_all_but_what_was_published(api, rows):
    run = rows.begin()
    other = Rows(rows.dsn, "cmdb")
    other.begin()
    for each in (rows, other):
        each.ledger("a", "b")
        each.state(cursor='{"page": 2}', since='{"commit": "c"}', total=9, unread='{"x": "y"}', covers='["x"]')
        each.state(consecutive_failures=4, first_failure_at=datetime.now(UTC), outage_since=datetime.now(UTC))
        each.state(last_error_class="SourceError", last_error_at=datetime.now(UTC), requested_at=datetime.now(UTC))

    answer = api.post("/v1/connectors/git/reset")

    assert (answer.status_code, answer.json()["last_error"], answer.json()["consecutive_failures"]) == (200, None, 0)
    assert rows.read("run", "cursor", "since", "total", "unread", "covers", "phase", "requested_at") == (
        *[None] * 4,
        {},
        [],
        "rest",
        None,
    )
    assert rows.read("next_run_at <= now()", "outage_since IS NOT NULL") == (True, True)
    assert hashes(rows) == [("", CLUSTER_ROWS)]
    assert rows.one("SELECT outcome, ended_at IS NOT NULL FROM connector_runs WHERE run = %(run)s", run=run) == (
        "reset",
        True,
    )
    assert (other.read("consecutive_failures"), hashes(other)) == ((4,), [("h", CLUSTER_ROWS)])


CLUSTER_ROWS = 2


def hashes(rows):
    sql = "SELECT content_hash, count(*) FROM ingestion_entity_refs WHERE connector = %(connector)s GROUP BY 1"
    return [tuple(row) for row in rows.every(sql)]


def test_a_reset_keeps_pause_and_open_holds(api, rows):
    rows.hold("a")
    rows.state(paused=True)
    api.post("/v1/connectors/git/reset")
    found = status(api)
    assert (found["state"], found["held_deletions"]) == ("paused", 1)


def test_runs_are_listed_newest_first_page_by_page(api, rows):
    numbers = [rows.run(outcome) for outcome in ("complete", "partial", "failed", "reset")]
    numbers.append(rows.run("running"))
    Rows(rows.dsn, "cmdb").run()
    found, cursor = [], None
    while cursor or not found:
        page = api.get(
            "/v1/connectors/git/runs", params={"limit": 2, "fields": "run", **({"cursor": cursor} if cursor else {})}
        ).json()
        found += [each["run"] for each in page["items"]]
        cursor = page["next_cursor"]
    assert found == numbers[::-1]


def test_a_run_is_told_with_its_counts_and_its_error(api, rows):
    number = rows.run("failed", pages=2, entities=70, error_class="RateLimitedError", error_message="too many")
    found = api.get("/v1/connectors/git/runs").json()["items"][0]
    times = [found.pop(name) for name in ("started_at", "ended_at")]
    counts = ("published", "unchanged", "filtered", "refused", "left_out", "deleted", "held")
    assert all(TIME.fullmatch(each) for each in times)
    assert found == {
        "run": number,
        "mode": "complete",
        "full": False,
        "trigger": "rest",
        "outcome": "failed",
        "pages": 2,
        "entities": 70,
        **dict.fromkeys(counts, 0),
        "error": {"class": "RateLimitedError", "message": "too many"},
    }


def test_a_run_that_failed_and_waits_for_its_next_attempt_is_not_told_as_running(api, rows):
    number = rows.run("running", pages=2)
    rows.state(run=number, phase="rest", consecutive_failures=1, last_error_class="E", last_error_message="no answer")
    found = api.get("/v1/connectors/git/runs").json()["items"][0]
    error = {"class": "E", "message": "no answer"}
    assert (found["outcome"], found["ended_at"], found["error"]) == ("failed", None, error)


def test_held_deletions_are_shown_with_what_would_be_deleted(api, rows):
    hold_id = rows.hold("b", "a", entities=16)
    rows.ledger("c")
    (found,) = api.get("/v1/connectors/git/held-deletions").json()["items"]
    times = [found.pop(name) for name in ("created_at", "expires_at")]
    assert all(TIME.fullmatch(each) for each in times)
    assert found == {
        "hold_id": str(hold_id),
        "count": 2,
        "percent": 12.5,
        "refs": ["component:default/a", "component:default/b"],
    }


def test_approved_deletions_wait_for_the_runner(api, rows):
    hold_id = rows.hold("a", "b")
    answer = api.post(f"/v1/connectors/git/held-deletions/{hold_id}/approve")
    assert (202, {"hold_id": str(hold_id), "state": "approved"}) == (answer.status_code, answer.json())
    assert rows.held_state(hold_id) == ("approved", "api")
    assert rows.kept() == [("a", True, False), ("b", True, False)]
    assert status(api)["held_deletions"] == 0


def test_nobody_approves_deletions_of_a_connector_that_is_not_enabled(api, rows):
    rows.hold("a")
    answer = api.post(f"/v1/connectors/off/held-deletions/{uuid.UUID(int=1)}/approve")
    assert (answer.status_code, answer.json()["detail"]) == (409, "connector off is not enabled: nothing runs it")


def test_rejected_deletions_are_kept_until_they_are_seen_again(api, rows):
    rows.ledger("c")
    hold_id = rows.hold("a", "b")
    answer = api.post(f"/v1/connectors/git/held-deletions/{hold_id}/reject")
    assert (answer.status_code, rows.held_state(hold_id)) == (200, ("rejected", "api"))
    assert rows.kept() == [("a", False, True), ("b", False, True), ("c", False, False)]


@pytest.mark.parametrize("verdict", ["approve", "reject"])
@pytest.mark.parametrize("options", [{"state": each} for each in ("approved", "rejected", "done")] + [{"days": -1}])
def test_nothing_is_decided_twice_or_too_late(api, rows, verdict, options):
    hold_id = rows.hold("a", **options)
    answer = api.post(f"/v1/connectors/git/held-deletions/{hold_id}/{verdict}")
    assert (409, options.get("state", "held")) == (answer.status_code, rows.held_state(hold_id)[0])
    assert rows.kept() == [("a", True, False)]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/connectors/none/status", 404),
        ("GET", "/v1/connectors/none/runs", 404),
        ("GET", "/v1/connectors/none/held-deletions", 404),
        ("POST", "/v1/connectors/none/sync", 404),
        ("POST", "/v1/connectors/none/reset", 404),
        ("POST", f"/v1/connectors/git/held-deletions/{uuid.UUID(int=1)}/approve", 404),
        ("POST", f"/v1/connectors/git/held-deletions/{uuid.UUID(int=1)}/reject", 404),
        ("POST", "/v1/connectors/git/held-deletions/x/approve", 400),
        ("GET", "/v1/connectors/git/runs?cursor=YQ==", 400),
        ("GET", "/v1/connectors/git/runs?limit=0", 400),
        ("GET", "/api/catalog/incremental/providers/none/status", 404),
        ("POST", "/api/catalog/incremental/providers/none/refresh", 404),
        ("GET", "/central-config/last-sync?connector_id=cmdb", 404),
        ("GET", "/v1/connectors/git/sync", 405),
        ("GET", "/v1/connectors/", 404),
    ],
)
def test_what_is_not_there_is_a_problem(api, method, path, code):
    answer = api.request(method, path)
    title = answer.json()["title"]
    assert (code, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    assert title == title.capitalize()


def test_a_hold_of_another_connector_is_not_there(api, rows):
    hold_id = rows.hold("a")
    assert api.post(f"/v1/connectors/cmdb/held-deletions/{hold_id}/approve").status_code == 404


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/connectors/git/sync", "POST"),
        ("/v1/services/pay/override", "DELETE, POST"),
        ("/v1/entities/component%3Apay", "DELETE, GET, PUT"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_told_with_those_it_has(api, path, methods):
    answer = api.patch(path)
    told = f"this path takes {methods}, and not PATCH"
    assert (answer.status_code, answer.headers["allow"], answer.json()["detail"]) == (405, methods, told)


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/v1/entities?kinds=api", "known are cursor, fields, kind, lifecycle, limit, owner, q, tag, tier"),
        ("/v1/entities/component:pay?field=entity", "known are fields"),
        ("/v1/connectors?q=git", "known are cursor, fields, limit"),
        ("/api/catalog/incremental/health?verbose=1", "there are none here"),
        ("/livez?verbose=1", "there are none here"),
    ],
)
def test_a_query_parameter_that_nobody_knows_is_refused(api, path, known):
    answer = api.get(path)
    name = path.partition("?")[2].partition("=")[0]
    assert (400, f"unknown query parameter {name!r}; {known}") == (answer.status_code, answer.json()["detail"])


def test_providers_are_the_connectors_in_words_of_backstage(api, rows):
    rows.state(consecutive_failures=1, last_error_class="SourceError", last_error_message="gone")
    (found,) = [
        each for each in api.get("/api/catalog/incremental/providers").json()["providers"] if each["name"] == "git"
    ]
    assert found == api.get("/api/catalog/incremental/providers/git/status").json()
    assert found == {
        "name": "git",
        "connectorId": "git",
        "type": "git",
        "enabled": True,
        "state": "backing_off",
        "lastSuccessAt": None,
        "lastError": {"class": "SourceError", "message": "gone", "at": None},
        "entities": 0,
        "consecutiveFailures": 1,
        "nextRunAt": None,
        "progress": None,
        "heldDeletions": 0,
    }


def test_the_health_of_providers_is_that_of_their_last_runs(api, rows):
    before = api.get("/api/catalog/incremental/health").json()
    rows.state(consecutive_failures=1, paused=True)
    after = api.get("/api/catalog/incremental/health").json()
    ailing = [each for each in after["providers"] if not each["healthy"]]
    assert (before["healthy"], len(before["providers"]), after["healthy"]) == (True, 4, False)
    assert ailing == [{"name": "git", "healthy": False, "state": "paused", "consecutiveFailures": 1}]


def test_a_provider_is_refreshed_and_reset(api, rows):
    refreshed = api.post("/api/catalog/incremental/providers/git/refresh")
    assert (refreshed.status_code, rows.read("requested_full")) == (202, (True,))
    run = rows.begin()
    busy = api.post("/api/catalog/incremental/providers/git/refresh").status_code
    reset = api.post("/api/catalog/incremental/providers/git/reset")
    outcome = rows.one("SELECT outcome FROM connector_runs WHERE run = %(run)s", run=run)
    assert (busy, reset.status_code, reset.json()["name"], outcome) == (409, 200, "git", ("reset",))


def test_the_last_sync_of_the_central_repository_is_told(api, rows):
    never = api.get("/central-config/last-sync").json()
    rows.state(since='{"commit": "4f2a"}', last_success_at=datetime(2026, 5, 1, 10, tzinfo=UTC))
    rows.ledger("one", "two", "three")
    rows.do("UPDATE ingestion_entity_refs SET scope = CASE WHEN entity_ref LIKE '%%/three' THEN 'b' ELSE 'a' END")
    last = api.get("/central-config/last-sync?connector_id=git").json()
    assert never == {"connector_id": "git", "last_success_at": None, "commit": None, "files": None}
    assert last == {
        "connector_id": "git",
        "last_success_at": "2026-05-01T10:00:00.000Z",
        "commit": "4f2a",
        "files": 2,
    }
