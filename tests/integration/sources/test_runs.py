"""Runs of a connector: what they publish, what they delete, and where they go on."""

from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from schemas.errors import CursorExpiredError, SourceUnreachableError, UnavailableError
from sources.base import Refused
from sources.guard import Limits
from sources.preview import preview
from sources.schedule import Schedule
from tests.integration.sources.scripted import Scripted, component, many


def _names(stage):
    return {ref.removeprefix("component:default/") for ref in stage.held()}


def _at_ease(_):
    return None


def _fail_at(page, error=SourceUnreachableError):
    def before(number):
        if number == page:
            raise error("the source does not answer")

    return before


def test_a_run_publishes_every_entity_and_a_second_one_only_what_changed(stage):
    system = many(25)
    source = Scripted(system)
    stage.look(source)
    system["c-00003"] = component("c-00003", owner="team-checkout")
    stage.look(source)
    first, second = stage.runs
    assert (
        _names(stage),
        stage.held()["component:default/c-00003"]["spec"]["owner"],
        (first["outcome"], first["published"], second["outcome"], second["published"], second["unchanged"]),
    ) == (set(system), "team-checkout", ("complete", 25, "complete", 1, 24))


def test_what_is_no_longer_there_is_deleted_at_the_end_of_a_complete_run(stage):
    system = many(25)
    source = Scripted(system)
    stage.look(source)
    del system["c-00003"], system["c-00021"]
    stage.look(source)
    assert (_names(stage), stage.ledger, stage.runs[-1]["deleted"]) == (
        set(system),
        {f"component:default/{name}" for name in system},
        2,
    )


@pytest.mark.parametrize("page", [0, 1, 2])
def test_a_page_that_fails_deletes_nothing_and_the_next_run_goes_on_after_the_last_good_one(stage, page):
    system = many(30)
    source = Scripted(system)
    stage.look(source)
    for name in ("c-00000", "c-00010", "c-00020"):
        del system[name]
    source.before = _fail_at(page)
    failed = stage.look(source)
    after_failure = _names(stage)
    source.before = _at_ease
    source.asked.clear()
    stage.look(source)
    assert (
        len(after_failure),
        (failed["consecutive_failures"], failed["last_error_class"], failed["last_error_message"]),
        source.asked,
        _names(stage),
        stage.state["consecutive_failures"],
    ) == (
        30,
        (1, "SourceUnreachableError", "the source does not answer"),
        [{"next": page * 10} if page else None],
        set(system),
        0,
    )


def test_a_run_that_failed_before_its_first_page_ends_with_what_it_failed_of(stage):
    source = Scripted(many(5))
    source.before = _fail_at(0)
    stage.look(source)
    source.before = _at_ease
    stage.look(source)
    assert [(each["outcome"], each["error_class"], each["error_message"]) for each in stage.runs] == [
        ("failed", "SourceUnreachableError", "the source does not answer"),
        ("complete", None, None),
    ]


def test_an_empty_answer_where_there_was_data_is_an_error(stage):
    source = Scripted(many(5))
    stage.look(source)
    source.system = {}
    state = stage.look(source)
    assert (len(_names(stage)), state["last_error_class"], stage.runs[-1]["outcome"]) == (
        5,
        "EmptyAnswerError",
        "failed",
    )


def test_fewer_entities_than_the_source_says_it_holds_delete_nothing(stage):
    system = many(12)
    source = Scripted(system)
    stage.look(source)
    del system["c-00004"]
    source.first = {"total": 12}
    state = stage.look(source)
    assert (len(_names(stage)), state["last_error_class"], stage.runs[-1]["outcome"]) == (
        12,
        "PartialRunError",
        "partial",
    )


def test_nothing_is_deleted_of_a_scope_that_could_not_be_read(stage):
    system = many(6)
    source = Scripted(system)
    source.scopes = {"c-00000": "acme/pay", "c-00001": "acme/shop", "c-00002": "acmes"}
    stage.look(source)
    for name in ("c-00000", "c-00001", "c-00002"):
        del system[name]
    source.first = {"unread": {"acme": "it answered 403"}}
    state = stage.look(source)
    assert (sorted(_names(stage) - set(system)), state["last_error_message"]) == (
        ["c-00000", "c-00001"],
        "not everything could be read, and nothing of it is deleted: acme: it answered 403",
    )


def test_what_cannot_be_understood_protects_its_scope_and_no_other(stage):
    system = many(4)
    source = Scripted(system)
    source.scopes = {"c-00000": "a.yaml", "c-00001": "b.yaml"}
    stage.look(source)
    del system["c-00000"], system["c-00001"]
    source.first = {"refused": [Refused(place="a.yaml:1", reason="it cannot be read", scope="a.yaml")]}
    stage.look(source)
    assert (_names(stage) - set(system), stage.runs[-1]["outcome"]) == ({"c-00000"}, "complete")


def test_an_entity_that_breaks_the_rules_keeps_what_was_published_of_it(stage):
    system = many(3)
    source = Scripted(system)
    stage.look(source)
    system["c-00001"] = component("c-00001", owner=7)
    stage.look(source)
    held = stage.held()
    assert (len(held), held["component:default/c-00001"]["spec"]["owner"], stage.runs[-1]["refused"]) == (
        3,
        "team-pay",
        1,
    )


def test_what_comes_back_after_it_was_deleted_is_published_again(stage):
    system = many(3)
    source = Scripted(system)
    stage.look(source)
    kept = system.pop("c-00001")
    stage.look(source)
    gone = _names(stage)
    system["c-00001"] = kept
    stage.look(source)
    assert (len(gone), len(_names(stage))) == (2, 3)


def test_the_guard_holds_more_than_its_limit_and_lets_as_many_pass(stage):
    stage.limits = Limits(max_count=2, max_percent=10)
    system = many(40)
    source = Scripted(system, size=20)
    stage.look(source)
    for number in range(5):
        del system[f"c-{number:05}"]
    stage.look(source)
    held = stage.rows("SELECT * FROM held_deletions")
    system["c-00000"] = component("c-00000")
    stage.look(source)
    back = stage.rows("SELECT entity_ref FROM ingestion_entity_refs WHERE hold_id IS NOT NULL")
    assert (len(held), held[0]["state"], held[0]["entities"], len(_names(stage)), len(back)) == (1, "held", 40, 40, 4)


def test_as_many_as_the_limit_are_deleted(stage):
    stage.limits = Limits(max_count=2, max_percent=10)
    system = many(40)
    source = Scripted(system, size=20)
    stage.look(source)
    for number in range(4):
        del system[f"c-{number:05}"]
    stage.look(source)
    assert len(_names(stage)) == 36


def test_what_somebody_approved_is_deleted_and_what_came_back_is_not(stage):
    stage.limits = Limits(max_count=0, max_percent=0)
    system = many(10)
    source = Scripted(system)
    stage.look(source)
    kept = {name: system.pop(name) for name in ("c-00001", "c-00002", "c-00003")}
    stage.look(source)
    system["c-00002"] = kept["c-00002"]
    stage.look(source)
    stage.rows("UPDATE held_deletions SET state = 'approved'")
    stage.look(source)
    deleted = sorted(each["_key"] for each in stage.changes() if each.get("op") == "delete")
    assert (_names(stage), stage.rows("SELECT state FROM held_deletions")) == (set(system), [{"state": "done"}])
    assert deleted == ["component:default/c-00001", "component:default/c-00003"]


def test_what_came_back_since_somebody_approved_is_not_deleted(stage):
    stage.limits = Limits(max_count=2, max_percent=0)
    system = many(10)
    source = Scripted(system)
    stage.look(source)
    kept = {name: system.pop(name) for name in ("c-00001", "c-00002", "c-00003")}
    stage.look(source)
    stage.rows("UPDATE held_deletions SET state = 'approved'")
    system["c-00002"] = kept["c-00002"]
    del system["c-00004"]
    stage.look(source)
    deletes = {change["entityRef"] for change in stage.changes() if change.get("op") == "delete"}
    assert deletes == {f"component:default/c-0000{number}" for number in (1, 3, 4)}


def test_a_hold_that_would_grow_is_replaced(stage):
    stage.limits = Limits(max_count=1, max_percent=0)
    system = many(10)
    source = Scripted(system)
    stage.look(source)
    del system["c-00001"], system["c-00002"]
    stage.look(source)
    del system["c-00003"]
    stage.look(source)
    found = stage.rows(
        "SELECT state, (SELECT count(*) FROM ingestion_entity_refs r WHERE r.hold_id = h.hold_id) AS count"
        " FROM held_deletions h ORDER BY created_at"
    )
    assert found == [{"state": "replaced", "count": 0}, {"state": "held", "count": 3}]


def test_what_does_not_change_is_published_again_before_its_life_ends(stage):
    stage.renewal = timedelta(milliseconds=1)
    source = Scripted(many(3))
    stage.look(source)
    stage.look(source)
    assert [run["published"] for run in stage.runs] == [3, 3]


def test_the_ledger_of_another_cluster_counts_for_nothing(stage):
    source = Scripted(many(3))
    stage.cluster_id = "another"
    stage.look(source)
    stage.cluster_id = None
    stage.look(source)
    assert [(run["published"], run["outcome"]) for run in stage.runs] == [(3, "complete"), (3, "complete")]


def test_what_was_held_on_another_cluster_alone_is_forgotten(stage):
    system = many(3)
    source = Scripted(system)
    stage.cluster_id = "another"
    stage.look(source)
    stage.cluster_id = None
    del system["c-00001"]
    stage.look(source)
    assert (
        stage.rows("SELECT entity_ref FROM ingestion_entity_refs WHERE cluster_id = 'another'"),
        len(stage.ledger),
    ) == ([], 2)


def test_the_first_of_two_places_that_hold_an_entity_counts_in_every_run(stage):
    system = many(12)
    source = Scripted(system)
    system["twice"] = component("c-00001", owner="somebody-else")
    stage.look(source)
    stage.look(source)
    assert (stage.held()["component:default/c-00001"]["spec"]["owner"], stage.runs[-1]["published"]) == ("team-pay", 0)


def test_a_source_that_gives_the_same_page_for_ever_is_stopped(stage):
    class Endless(Scripted):
        async def pages(self, cursor):
            del cursor
            number = 0
            while True:
                async for page in super().pages(None):
                    number += 1
                    yield type(page)(items=page.items, cursor={"next": number})

    state = stage.look(Endless(many(5)))
    assert state["last_error_class"] == "EndlessSourceError"


def test_a_cursor_that_has_expired_begins_a_new_run_at_once(stage):
    source = Scripted(many(30))
    source.before = _fail_at(2)
    stage.look(source)

    def before(number):
        if number == 2 and len(source.asked) == 2:
            raise CursorExpiredError("the cursor has expired")

    source.before = before
    state = stage.look(source, times=2)
    assert (source.asked, state["consecutive_failures"], len(_names(stage))) == ([None, {"next": 20}, None], 0, 30)


def test_three_failures_announce_an_outage_and_an_answer_ends_it(stage):
    source = Scripted(many(3))
    stage.look(source)
    source.before = _fail_at(0)
    stage.look(source, times=3)
    announced = [each for each in stage.changes() if each.get("op") == "outage"]
    source.before = _at_ease
    stage.look(source)
    ended = [each for each in stage.changes() if each.get("op") == "recovered"]
    assert (
        [(each["_key"], each["_partition"]) for each in announced],
        [(each["_key"], each["_partition"]) for each in ended],
        stage.state["outage_since"],
    ) == ([("scripted", 0), ("scripted", 1)], [("scripted", 0), ("scripted", 1)], None)


def test_an_outage_that_follows_a_partial_run_is_another_one(stage):
    source = Scripted(many(3))
    source.before = _fail_at(0)
    stage.look(source, times=3)
    source.before, source.first = _at_ease, {"total": 99}
    stage.look(source)
    source.before = _fail_at(0)
    stage.look(source)
    words = sorted({(each["observedAt"], each["op"]) for each in stage.changes() if "entity" not in each})
    assert [op for _, op in words] == ["outage", "recovered", "outage"]


def test_an_outage_that_kafka_does_not_let_us_tell_of_ends_nothing_and_is_told_later(stage):
    source, topics = Scripted(many(3)), stage.topics
    source.before = _fail_at(0)
    stage.topics = replace(topics, prefix=f"{topics.prefix}-absent")
    since = stage.look(source, times=3)["outage_since"]
    stage.topics = topics
    state = stage.look(source, times=2)
    assert state["consecutive_failures"] == 5
    assert {each["observedAt"] for each in stage.changes()} == {int(since.timestamp() * 1000)}


def test_an_approved_hold_that_cannot_be_deleted_waits_and_ends_nothing(stage):
    stage.limits = Limits(max_count=0, max_percent=0)
    stage.schedule = Schedule(backoff=(timedelta(hours=1),))
    system, tried = many(3), []
    source = Scripted(system)
    stage.look(source)
    del system["c-00001"]
    stage.look(source)
    stage.rows("UPDATE held_deletions SET state = 'approved'")

    def refused(label):
        if label == "sweep.taken":
            tried.append(label)
            raise UnavailableError("Kafka does not let us write")

    stage.reached = refused
    state = stage.look(source, times=3)
    assert (tried, state["last_error_class"], len(_names(stage))) == (["sweep.taken"], "UnavailableError", 3)


def test_a_run_in_which_nothing_has_changed_writes_no_row_of_the_ledger(stage):
    source, rows = Scripted(many(25)), "SELECT entity_ref, xmin::text FROM ingestion_entity_refs ORDER BY 1"
    stage.look(source)
    before = stage.rows(rows)
    stage.look(source)
    assert (stage.rows(rows), stage.runs[-1]["unchanged"]) == (before, 25)


def _previewed(stage, source):
    async def working(place):
        return await preview(stage.connector(source), place.pool, place.cluster)

    return stage.run(working)


def test_a_preview_leaves_no_transaction_open_while_the_source_is_read(stage):
    source, found = Scripted(many(25)), []
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%'"
    source.before = lambda number: found.extend(stage.rows(idle)) if number else None
    _previewed(stage, source)
    assert found == [{"count": 0}, {"count": 0}]


def test_a_preview_says_what_the_next_run_does_and_does_nothing(stage):
    stage.limits = Limits(max_count=1, max_percent=0)
    system = many(25)
    source = Scripted(system)
    stage.look(source)
    del system["c-00003"]
    system["new"] = component("new")
    system["c-00004"] = component("c-00004", owner="team-checkout")
    system["c-00005"] = component("c-00005", owner=7)
    one, before = _previewed(stage, source), stage.changes()
    del system["c-00006"]
    two = _previewed(stage, source)
    assert (one.new, one.changed, one.deleted, one.held, len(one.refused), one.unchanged, one.problem) == (
        ["component:default/new"],
        ["component:default/c-00004"],
        ["component:default/c-00003"],
        [],
        1,
        22,
        None,
    )
    assert (two.deleted, two.held, stage.changes()) == (
        [],
        ["component:default/c-00003", "component:default/c-00006"],
        before,
    )


def _told(stage, source):
    """Return what a run tells of settings that were without effect."""
    with structlog.testing.capture_logs() as logs:
        stage.look(source)
    return [each["reason"] for each in logs if each["event"] == "connector.without_effect"]


def test_what_a_source_found_to_be_without_effect_is_told_by_a_run_and_by_a_preview(stage):
    source = Scripted(many(3))
    source.first = {"doubts": ["connection.documents[0].files matches none of 3 files"]}
    one, told = _previewed(stage, source), _told(stage, source)
    assert (one.doubts, told, stage.runs[-1]["outcome"]) == (told, [*source.first["doubts"]], "complete")


def test_an_expression_that_finds_nothing_is_named_where_all_was_mapped_and_by_every_preview(stage):
    stage.mapping = replace(stage.mapping, field_mapping={"tier": "spec.teir", "owner_team": "spec.owner"})
    source = Scripted(system := many(25))
    named = "connector scripted: field_mapping.tier (spec.teir) found nothing in any entity; looked at: 25"
    before, first = _previewed(stage, source).doubts, _told(stage, source)
    system["c-00003"] = component("c-00003", owner="team-checkout")
    second, after = _told(stage, source), _previewed(stage, source).doubts
    system["c-00024"] = component("c-00024", teir="tier1")
    assert (before, first, second, after) == ([named], [named], [], [named])
    assert _previewed(stage, source).doubts == []


def test_a_run_that_was_gone_on_with_or_is_partial_names_no_expression(stage):
    stage.mapping = replace(stage.mapping, field_mapping={"tier": "spec.teir"})
    source = Scripted(many(25))
    source.before = _fail_at(1)
    told = _told(stage, source)
    source.before = _at_ease
    told += _told(stage, source)
    partial = Scripted({**many(25), "new": component("new")})
    partial.first = {"unread": {"acme": "answered 403"}}
    stage.mapping = replace(stage.mapping, upstream="spec.dependson")
    told += _told(stage, partial)
    assert ([each["outcome"] for each in stage.runs], told) == (["complete", "partial"], [])


def test_a_request_that_comes_while_a_run_begins_is_not_taken_for_done(stage):
    source = Scripted(many(3))

    def asked(_):
        stage.rows("UPDATE ingestion_state SET requested_at = now(), requested_full = true")

    source.before = asked
    stage.look(source)
    source.before = _at_ease
    stage.look(source)
    assert ([(run["trigger"], run["published"]) for run in stage.runs], stage.state["requested_at"]) == (
        [("rest", 3), ("manual", 3)],
        None,
    )


def test_a_request_that_resumes_a_run_is_done_with_it(stage):
    stage.schedule = Schedule(backoff=(timedelta(hours=1),))
    source = Scripted(many(30))
    source.before = _fail_at(2)
    stage.look(source)
    stage.rows("UPDATE ingestion_state SET requested_at = now()")
    stage.look(source)
    after = stage.look(source, times=2)
    assert (source.asked, after["requested_at"], after["consecutive_failures"]) == ([None, {"next": 20}], None, 2)
