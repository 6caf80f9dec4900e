"""After each fault, within one resync, Backstage holds exactly the merged entities of the configured kinds."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from mainstem.testing.sinks import FAULT_PROMISES, PROMISES, Applied, SinkSubject
from schemas.entities import Vanished
from schemas.errors import ConfigError, Retriable
from sinks.backstage.circuit import Pace
from sinks.batches import ends
from tests.backstage_module_server import LOCATIONS, module_server, silence, status
from tests.integration.sinks.backstage_stage import PATIENCE, Brisk, Drive, exactly, rows, shown


@pytest.fixture
def backstage():
    with module_server() as server:
        yield server


@pytest.fixture
def drive(backstage, dsn):
    made = []

    def make(**fields):
        made.append(Drive(backstage, dsn, **fields))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def several(whole):
    return [whole(f"e{number}", number) for number in range(1, 12)]


def gone(entity, version):
    return Vanished(tenant="default", entity_ref=entity.entity_ref, version=version, merged_at=0, reason="deleted")


def api(whole, version):
    spec = {"type": "openapi", "lifecycle": "production", "owner": "team-pay", "definition": "x"}
    return whole("pay", version, kind="API", spec=spec)


@pytest.mark.parametrize("promise", PROMISES + FAULT_PROMISES, ids=lambda promise: promise.__name__)
def test_the_sink_backstage_keeps_the_promise(promise, drive, dsn, backstage):
    settings = replace(drive().settings(), registry=None)
    with psycopg.connect(dsn) as connection:
        connection.execute("TRUNCATE sink_offsets, sink_rebuilds, backstage_scopes")

    def applied():
        found = rows(dsn)
        return [Applied(entity_ref=ref, version=found[ref][0], content=each) for ref, each in backstage.held.items()]

    @contextmanager
    def away():
        backstage.is_away = True
        yield
        backstage.is_away = False

    promise(SinkSubject(make=lambda: Brisk(settings), applied=applied, expected=shown, outage=away))


# -- what is sent


def test_a_version_of_which_only_provenance_changed_costs_backstage_nothing(drive, whole, backstage, dsn):
    one = drive()
    one.carry(whole("pay", 1))
    before = len(backstage.asked)

    one.carry(whole("pay", 2))

    assert (len(backstage.asked), rows(dsn)) == (before, {"component:default/pay": (2, "applied")})


def test_other_kinds_and_tenants_are_left_out(drive, whole, backstage):
    wanted = api(whole, 2)
    theirs = replace(whole("ledger", 3, kind="API", spec=wanted.entity["spec"]), tenant="acme")
    one = drive(options={"kinds": ["API"]})
    one.carry()

    one.carry(whole("till", 1), wanted, theirs)

    assert backstage.held == exactly(wanted)


def test_the_annotations_of_other_connectors_are_overridden(drive, whole, backstage):
    theirs = {LOCATIONS[0]: "url:https://acme.com/x.yaml", "acme.com/tier": "1", "backstage.io/orphan": "true"}

    drive(options={"location": "mainstem:acme"}).carry(whole("pay", 1, annotations=theirs, uid="u", etag="e"))

    expected = {**dict.fromkeys(LOCATIONS, "mainstem:acme"), "acme.com/tier": "1"}
    found = backstage.held["component:default/pay"]["metadata"]
    assert found == {"name": "pay", "namespace": "default", "annotations": expected}


def test_many_entities_go_in_deltas_of_a_thousand_at_most(whole, dsn):
    entities = [whole(f"e{number}", number) for number in range(1, 1_101)]

    with module_server(shards=1) as server:
        one = Drive(server, dsn, options={"shards": 1})
        one.carry(*entities)
        one.close()

        sizes = [len(each.body["upserts"]) for each in server.changes() if each.path == "/changes"]
        assert (sizes, server.held == exactly(*entities)) == ([1_000, 100], True)


def test_two_shards_are_spoken_of_at_the_same_time(drive, several, backstage):
    together = threading.Barrier(2, action=lambda: setattr(backstage, "before_answer", None))
    backstage.before_answer = lambda asked: asked.path == "/changes" and together.wait(PATIENCE)
    one = drive()
    one.publish(*several)

    one.sink.write(one.left(), ends(one.left()))

    assert backstage.held == exactly(*several)


# -- faults of Backstage


@pytest.mark.parametrize("fault", ["429", "500", "502", "timeout", "reset"])
def test_a_fault_that_passes_loses_nothing(fault, drive, several, backstage):
    faults = {"429": status(429, {"Retry-After": "1"}), "timeout": silence(backstage), "reset": _reset}
    one = drive()
    one.carry(several[0])
    backstage.faults += [faults.get(fault) or status(int(fault))]

    one.carry(*several[1:])

    one.resync()
    assert (backstage.held, one.dead_letters) == (exactly(*several), [])


def _reset(handler):
    handler.close_connection = True
    handler.connection.close()


def test_a_backstage_that_asks_to_be_left_alone_is(drive, whole, backstage):
    one = drive()
    backstage.faults += [status(503, {"Retry-After": "3600"})]
    one.publish(whole("pay", 1))
    for _ in range(5):
        with pytest.raises(Retriable):
            one.sink.write(one.left(), ends(one.left()))

    assert len(backstage.asked) == 1


def test_while_it_is_away_it_is_asked_once_an_interval(drive, whole, backstage):
    class Slow(Brisk):
        pace = Pace(failures=3, probe_seconds=3_600.0)

    one = drive(kind=Slow)
    backstage.is_away = True
    one.publish(whole("pay", 1))
    for _ in range(10):
        with pytest.raises(Retriable):
            one.sink.write(one.left(), ends(one.left()))
        one.sink.tend()

    assert (len(backstage.asked), one.metric("circuit_open"), one.metric("unconfirmed")) == (3, 1, 1)


def test_a_backstage_that_was_away_is_resynced_when_it_is_back(drive, several, backstage):
    one = drive()
    one.carry(*several[:-1])
    one.resync()
    backstage.is_away = True
    one.publish(several[-1])
    with pytest.raises(Retriable):
        one.sink.write(one.left(), ends(one.left()))
    backstage.restart()
    backstage.empty()
    backstage.is_away = False

    one.carry()

    one.tend_until(lambda: backstage.held == exactly(*several))


def _deleted(server):
    for shard in server.shards.values():
        shard.entities.pop("component:default/e3", None)


def _strange(server):
    server.shards[0].entities["component:default/strange"] = {}


def _restored(server):
    server.restart()
    for shard in server.shards.values():
        shard.entities.update({ref: {"kind": "older"} for ref in shard.entities})


@pytest.mark.parametrize(
    "fault", [lambda server: server.restart(), lambda server: server.empty(), _deleted, _strange, _restored],
    ids=["restarted", "emptied", "deleted", "strange", "restored"],
)  # fmt: skip
def test_what_became_of_it_is_put_right_by_one_resync(fault, drive, several, backstage):
    one = drive()
    one.carry(*several)
    one.resync()

    fault(backstage)
    one.resync()

    assert backstage.held == exactly(*several)
    assert all(shard.hash is not None for shard in backstage.shards.values())


def test_a_fault_in_the_middle_of_a_resync_only_makes_it_longer(drive, several, backstage):
    one = drive()
    one.carry(*several)
    backstage.empty()
    good, puts = backstage.answer, []

    def every_other_put_fails(asked):
        puts.extend([asked] * (asked.method == "PUT"))
        return (500, {}) if asked.method == "PUT" and len(puts) % 2 else good(asked)

    backstage.answer = every_other_put_fails

    one.resync()

    assert backstage.held == exactly(*several)


def test_a_resync_of_what_is_unchanged_costs_nothing(drive, several, backstage):
    one = drive()
    one.carry(*several)
    one.resync()
    one.resync()
    count = len(backstage.changes())

    one.resync()

    assert len(backstage.changes()) == count


def test_now_and_then_every_shard_is_put_whatever_backstage_says(drive, several, backstage):
    class Often(Brisk):
        pace = Pace(gate_seconds=0.05, whole_every=3)

    one = drive(kind=Often)
    one.carry(*several)
    one.resync()
    for shard in backstage.shards.values():
        shard.entities.update({ref: {"written": "into its database"} for ref in shard.entities})
    one.resync()
    unseen = backstage.held == exactly(*several)
    one.resync()

    assert (unseen, backstage.held) == (False, exactly(*several))


# -- entities that are not taken


def test_one_entity_of_a_batch_that_is_refused_is_set_aside_alone(drive, several, backstage, dsn):
    refused, rest = several[4], several[:4] + several[5:]
    backstage.refuse[refused.entity_ref] = "canary-of-a-reason"
    one = drive()

    one.carry(*several)

    [(letter, reason)] = one.dead_letters
    assert (letter.key.decode(), "canary" in reason) == (refused.entity_ref, False)
    assert rows(dsn)[refused.entity_ref] == (5, "refused")
    assert (backstage.held, one.left()) == (exactly(*rest), [])


@pytest.mark.parametrize("fault", ["spec", "kind", "tags", "name", "other key"])
def test_what_breaks_the_rules_is_reported_and_never_sent(fault, drive, whole, backstage, dsn):
    good, bad = whole("pay", 1), whole("odd", 2)
    {
        "spec": lambda: bad.entity["spec"].pop("owner"),
        "kind": lambda: bad.entity.update(kind="component"),
        "tags": lambda: bad.entity["metadata"].update(tags=["Not A Tag"]),
        "name": lambda: bad.entity["metadata"].update(name="a b"),
        "other key": lambda: bad.entity["metadata"].update(name="even"),
    }[fault]()
    one = drive()

    one.carry(good, bad)

    sent = [each["metadata"]["name"] for asked in backstage.changes() for each in asked.body.get("upserts", ())]
    assert (sent, len(one.dead_letters), rows(dsn)[bad.entity_ref]) == (["pay"], 1, (2, "refused"))


def test_a_kind_of_somebodys_own_passes_where_it_is_configured(drive, whole, backstage):
    own = whole("pay", 1, kind="Product", spec={"a": 1})
    one = drive()
    one.carry(own)
    left_out, letters = backstage.held, len(one.dead_letters)

    drive(options={"kinds": ["product"]}).carry(own)

    assert (left_out, letters, backstage.held) == ({}, 1, exactly(own))


def test_a_refused_version_leaves_the_accepted_one_where_it_is(drive, whole, backstage, dsn):
    good = whole("pay", 1)
    one = drive()
    one.carry(good)
    one.carry(whole("pay", 2, tags=["Not A Tag"]))
    backstage.empty()

    one.resync()

    assert (backstage.held, rows(dsn)[good.entity_ref]) == (exactly(good), (2, "refused"))


def test_what_another_provider_owns_is_reported_and_tried_again_at_each_resync(drive, several, backstage, dsn):
    theirs, mine = several[0], several[1:]
    backstage.foreign[theirs.entity_ref] = "owned by another"
    one = drive()
    one.carry(*several)
    one.resync()
    assert (rows(dsn)[theirs.entity_ref], one.dead_letters) == ((1, "conflict"), [])
    assert backstage.held == exactly(*mine)

    backstage.foreign.clear()
    one.resync()

    assert (backstage.held, rows(dsn)[theirs.entity_ref]) == (exactly(*several), (1, "applied"))


def test_a_module_that_takes_no_body_makes_no_entity_look_refused(drive, whole, backstage):
    good = backstage.answer
    backstage.answer = lambda asked: (400, {}) if asked.method == "POST" else good(asked)
    one = drive()
    one.publish(whole("pay", 1))

    with pytest.raises(Retriable, match="versions"):
        one.sink.write(one.left(), ends(one.left()))


def test_an_entity_that_is_too_large_for_a_request_is_refused_alone(drive, several, whole, backstage, dsn):
    good = backstage.answer
    backstage.answer = lambda asked: (413, {}) if len(str(asked.body)) > 100_000 else good(asked)
    large = whole("till", 99, description="x" * 200_000)

    drive().carry(*several, large)

    assert (backstage.held, rows(dsn)[large.entity_ref]) == (exactly(*several), (99, "refused"))


def test_a_shard_that_is_too_large_for_a_request_is_sent_in_deltas(drive, several, backstage):
    one = drive()
    one.carry(*several)
    backstage.empty()
    good = backstage.answer
    backstage.answer = lambda asked: (413, {}) if asked.method == "PUT" else good(asked)

    one.resync()

    assert backstage.held == exactly(*several)


# -- faults of the sink


def test_a_sink_that_ends_between_the_mutation_and_its_commit_says_it_again(drive, several, backstage, dsn):
    def kill(asked):
        """Backstage has taken the change; nothing that the sink writes about it arrives any more."""
        if asked.path == "/changes":
            backstage.before_answer = None
            with psycopg.connect(dsn, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'mainstem-sink-backstage'"
                )

    one = drive()
    backstage.before_answer = kill
    one.publish(*several)
    with pytest.raises(Retriable):
        one.sink.write(one.left(), ends(one.left()))
    known = rows(dsn)

    one.begin()
    one.carry()

    said = [each["metadata"]["name"] for asked in backstage.changes() for each in asked.body.get("upserts", ())]
    assert (len(known) < 11, len(said) > len(set(said)) == 11, backstage.held) == (True, True, exactly(*several))


def test_an_end_that_comes_again_after_the_entity_came_back_removes_nothing(drive, whole, backstage):
    pay = whole("pay", 1)
    back = whole("pay", 3)
    one = drive()
    one.carry(pay, gone(pay, 2), back)
    one.positions = dict.fromkeys(one.positions, 0)

    one.sink.write(one.left()[:2], {})

    assert backstage.held == exactly(back)


def test_another_scope_reads_all_anew_and_removes_what_is_no_longer_carried(drive, whole, backstage):
    component, other = whole("pay", 1), api(whole, 2)
    one = drive(options={"kinds": ["component"]})
    one.carry(component, other)
    first = backstage.held
    one.options["kinds"] = ["api"]
    one.begin()
    one.carry()
    second = backstage.held
    del one.options["kinds"]
    one.begin()
    one.carry()

    expected = (exactly(component), exactly(other), exactly(component, other))
    assert (first, second, backstage.held) == expected


def test_a_rebuild_removes_what_the_topic_no_longer_holds(drive, several, backstage, dsn):
    one = drive()
    one.carry(*several)
    del one.log[:]
    one.publish(*several[1:])
    one.sink.request_rebuild(one.partitions)
    one.begin()

    one.carry()

    assert (backstage.held, rows(dsn)[several[0].entity_ref]) == (exactly(*several[1:]), (1, "removed"))


def test_nothing_is_removed_while_a_database_that_was_lost_is_filled_again(drive, several, backstage, dsn):
    one = drive()
    one.carry(*several)
    with psycopg.connect(dsn) as connection:
        connection.execute("TRUNCATE backstage_emissions, backstage_scopes, sink_offsets, sink_rebuilds, sink_seen")
    one.begin()
    for _ in range(20):
        one.sink.tend()
    before = backstage.held
    least = [len(before)]
    backstage.before_answer = lambda _: least.append(len(backstage.held))

    one.carry()
    one.resync()

    assert (min(least), backstage.held) == (11, exactly(*several))


def test_another_number_of_shards_ends_the_sink_with_a_sentence(drive, whole):
    one = drive(options={"shards": 3})
    one.publish(whole("pay", 1))

    with pytest.raises(ConfigError, match="4 shards"):
        one.sink.write(one.left(), ends(one.left()))


def test_a_token_that_is_wrong_is_waited_out_and_exchanged_without_a_restart(drive, whole, backstage):
    backstage.token = "right"
    said = ["wrong"]

    class Asking(Brisk):
        def __init__(self, settings):
            super().__init__(replace(settings, secret=lambda ref: said[0] if ref == "env:TOKEN" else ""))

    one = drive(kind=Asking, options={"auth": {"type": "bearer_token", "secret_ref": "env:TOKEN"}})
    one.publish(whole("pay", 1))
    with pytest.raises(Retriable, match=r"401: check sinks\.backstage\.auth"):
        one.sink.write(one.left(), ends(one.left()))

    said[0] = "right"
    one.carry()

    assert list(backstage.held) == ["component:default/pay"]


def test_it_comes_through_a_history_of_everything_with_faults_at_random(drive, whole, backstage):
    one = drive()
    newest = {}
    for version in range(1, 120):
        name = f"e{version * 7 % 13}"
        each = whole(name, version, description=f"as of {version}")
        is_end = version % 5 == 0
        newest[each.entity_ref] = None if is_end else each
        if version % 11 == 0:
            backstage.faults.append(status(500))
        if version % 17 == 0:
            backstage.restart()
        if version % 23 == 0:
            one.begin()
        if version % 31 == 0:
            backstage.empty()
        one.carry(gone(each, version) if is_end else each)

    one.resync()

    assert backstage.held == exactly(*(each for each in newest.values() if each is not None))
