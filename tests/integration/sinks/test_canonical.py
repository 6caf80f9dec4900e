"""The canonical model follows the entities, on a real Postgres: deliveries are handed to the sink itself."""

import random
import threading
import uuid
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import conninfo, sql

from schemas import database as schema
from sinks.postgres.canonical import Canonical
from sinks.postgres.merges import merge_rows
from sinks.postgres.model import id_of
from sinks.postgres.rows import entity_row
from sinks.postgres.sink import _QUERIES
from tests.integration.deliveries import NOW, hold, opened, rows, upsert, vanish
from tests.patience import eventually

TABLES = ("services", "teams", "service_dependencies", "service_runbooks", "stated_relations")
PAY, LEDGER, TEAM = "component:default/pay", "component:default/ledger", "group:default/team-pay"


@pytest.fixture(scope="module")
def module_dsn(postgres):
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = conninfo.make_conninfo(postgres, dbname=name)
    schema.migrate(dsn)
    yield dsn
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def dsn(module_dsn):
    clear(module_dsn)
    return module_dsn


@pytest.fixture
def sink(dsn):
    with closing(opened(dsn)) as found:
        yield found


def clear(dsn):
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE entities, entity_records, sink_offsets, stated_relations CASCADE")


def edges(dsn):
    """Return (who, on what, whether that is there) of every dependency."""
    found = rows(
        dsn,
        "SELECT s.external_id, d.target_ref, t.external_id IS NOT DISTINCT FROM d.target_ref"
        " FROM service_dependencies d"
        " JOIN services s ON (s.tenant_id, s.id) = (d.tenant_id, d.service_id)"
        " LEFT JOIN services t ON (t.tenant_id, t.id) = (d.tenant_id, d.depends_on_id)",
    )
    return sorted(found)


def dump(dsn):
    """Return all that the tables say, but for when rows were written."""
    return {
        table: sorted(
            (row for (row,) in rows(dsn, f"SELECT to_jsonb(x) - 'created_at' - 'updated_at' FROM {table} x")), key=repr
        )
        for table in TABLES
    }


def test_an_entity_becomes_a_service_with_all_that_belongs_to_it(dsn, sink):
    facts = {
        "tier": "tier1",
        "slackChannel": "#pay",
        "dependencies": [{"target": LEDGER, "type": "data", "isCritical": True}],
        "runbooks": [{"url": "https://run/pay", "title": "When it is down", "type": "incident"}],
    }
    spec = {"owner": "team-pay", "lifecycle": "production", "system": "money", "dependsOn": ["resource:db"]}
    sink.write(
        [
            upsert(PAY, 1, spec=spec, service=facts, metadata={"description": "Takes the money", "tags": ["java"]}),
            upsert(TEAM, 1, spec={"profile": {"displayName": "Payments"}}),
            upsert(LEDGER, 1),
            hold(PAY, 1, git=0, cmdb=5),
        ],
        {},
    )
    service = rows(
        dsn,
        "SELECT id::text, external_id, source, name, description, tier, owner_team_id::text, lifecycle, tags, metadata,"
        " synced_at FROM services WHERE name = 'pay'",
    )
    assert service == [
        (
            *(id_of("default", PAY), PAY, "git", "pay", "Takes the money", "tier1", id_of("default", TEAM)),
            *("production", ["java"], {"slackChannel": "#pay"}, datetime.fromtimestamp(NOW / 1000 + 5, UTC)),
        )
    ]
    assert edges(dsn) == [(PAY, LEDGER, True), (PAY, "resource:default/db", False)]
    assert rows(dsn, "SELECT title, url, runbook_type, source FROM service_runbooks") == [
        ("When it is down", "https://run/pay", "incident", "git")
    ]
    assert rows(dsn, "SELECT type, target_ref FROM entity_relations WHERE entity_ref = %s ORDER BY 1, 2", PAY) == [
        ("dependsOn", LEDGER),
        ("dependsOn", "resource:default/db"),
        ("ownedBy", TEAM),
        ("partOf", "system:default/money"),
    ]
    assert rows(dsn, "SELECT type, target_ref FROM entity_relations WHERE entity_ref = %s", TEAM) == [("ownerOf", PAY)]


def test_a_dependency_waits_for_its_target_and_for_its_return(dsn, sink):
    seen = []
    steps = [upsert(PAY, 1, spec={"dependsOn": [LEDGER]}), upsert(LEDGER, 1), vanish(LEDGER, 2), upsert(LEDGER, 3)]
    for step in steps:
        sink.write([step], {})
        seen.append(edges(dsn))
    assert seen == [[(PAY, LEDGER, there)] for there in (False, True, False, True)]


def test_an_owner_waits_for_its_team_and_for_its_return(dsn, sink):
    seen = []
    for step in [upsert(PAY, 1, spec={"owner": "team-pay"}), upsert(TEAM, 1), vanish(TEAM, 2), upsert(TEAM, 3)]:
        sink.write([step], {})
        seen += rows(dsn, "SELECT owner_team_id IS NOT NULL, owner_ref FROM services")
    assert seen == [(there, TEAM) for there in (False, True, False, True)]


def test_what_an_entity_no_longer_says_is_taken_away_and_what_vanished_leaves_nothing(dsn, sink):
    facts = {"runbooks": [{"url": "a"}, {"url": "b"}]}
    sink.write([upsert(PAY, 1, spec={"dependsOn": [LEDGER, "resource:db"], "system": "x"}, service=facts)], {})
    sink.write([upsert(PAY, 2, spec={"dependsOn": ["resource:db"]}, service={"runbooks": [{"url": "b"}]})], {})
    left = edges(dsn), rows(dsn, "SELECT url FROM service_runbooks"), rows(dsn, "SELECT * FROM stated_relations")
    assert left == ([(PAY, "resource:default/db", False)], [("b",)], [])
    sink.write([vanish(PAY, 3)], {})
    assert dump(dsn) == {table: [] for table in TABLES}


def test_an_older_version_changes_nothing(dsn, sink):
    sink.write([upsert(PAY, 5, spec={"dependsOn": [LEDGER]}, service={"tier": "new"})], {})
    before = dump(dsn)
    sink.write([upsert(PAY, 4, service={"tier": "old"})], {})
    assert dump(dsn) == before


def test_a_content_that_did_not_change_is_not_written_again(dsn, sink):
    said = {
        "spec": {"dependsOn": [LEDGER], "owner": "team-pay", "system": "x"},
        "service": {"runbooks": [{"url": "a"}]},
    }
    places = "SELECT ctid::text FROM {}"
    sink.write([upsert(PAY, 1, **said), upsert(TEAM, 1), upsert(LEDGER, 1)], {})
    before = [rows(dsn, places.format(table)) for table in TABLES]
    sink.write([upsert(PAY, 2, **said), upsert(TEAM, 2), upsert(LEDGER, 2)], {})
    assert [rows(dsn, places.format(table)) for table in TABLES] == before


def test_what_somebody_altered_is_mended_when_it_is_read_again(dsn, sink):
    batch = [upsert(PAY, 1, spec={"dependsOn": [LEDGER]}), upsert(LEDGER, 1)]
    sink.write(batch, {})
    before = dump(dsn)
    rows(dsn, "UPDATE services SET name = 'x', tier = 'y'")
    rows(dsn, "UPDATE service_dependencies SET depends_on_id = NULL, is_critical = true")
    sink.write(batch, {})
    assert dump(dsn) == before


def test_entities_of_before_the_model_are_projected_by_themselves(dsn, sink):
    sink.write([upsert(PAY, 1, spec={"dependsOn": [LEDGER], "owner": "team-pay"}), upsert(LEDGER, 1)], {})
    sink.write([upsert(TEAM, 1), hold(PAY, 1, git=3)], {})
    wanted = dump(dsn)
    rows(dsn, "DELETE FROM services")
    rows(dsn, "TRUNCATE teams, stated_relations CASCADE")
    rows(dsn, "UPDATE entities SET projected = NULL")
    sink.tend()
    assert dump(dsn) == wanted


def test_what_a_version_wrote_that_knows_of_no_model_is_projected_by_the_next_one_that_does(dsn, sink):
    sink.write([upsert(PAY, 1), upsert(LEDGER, 1)], {})
    rows(dsn, "UPDATE entities SET version = 2, service = '{\"tier\": \"tier1\"}' WHERE name = 'pay'")
    rows(dsn, "UPDATE entities SET version = 2, deleted_at = now() WHERE name = 'ledger'")
    sink.tend()
    assert rows(dsn, "SELECT name, tier FROM services") == [("pay", "tier1")]


def test_other_kinds_are_services_once_the_configuration_says_so(dsn, sink):
    sink.write([upsert(PAY, 1), upsert("template:default/new", 1, spec={"owner": "team-pay"})], {})
    seen = [rows(dsn, "SELECT kind FROM services")]
    for kinds in (("template",), ("component", "template")):
        with closing(opened(dsn, service_kinds=kinds)) as other:
            other.tend()
        seen.append(sorted(rows(dsn, "SELECT kind FROM services")))
    assert seen == [[("component",)], [("template",)], [("component",), ("template",)]]


def test_purging_an_entity_leaves_nothing_behind(dsn, sink):
    sink.write([upsert(PAY, 1, spec={"dependsOn": [LEDGER]})], {})
    rows(dsn, "UPDATE entities SET deleted_at = now() - interval '31 days', projected = NULL")
    sink.tend()
    assert rows(dsn, "SELECT (SELECT count(*) FROM services), (SELECT count(*) FROM service_dependencies)") == [(0, 0)]


def test_synced_at_is_the_newest_word_of_those_who_still_speak(dsn, sink):
    seen = []
    for step in (hold(PAY, 1, git=1), upsert(PAY, 1), hold(PAY, 2, git=2, cmdb=7), hold(PAY, 3, git=3)):
        sink.write([step], {})
        seen += rows(dsn, "SELECT extract(epoch FROM synced_at)::int - %s FROM services", NOW // 1000)
    assert seen == [(1,), (7,), (3,)]


class Hand:
    """A worker's transaction, held open."""

    def __init__(self, dsn):
        self.connection = psycopg.connect(dsn)
        self._canonical = Canonical(("component",))

    def write(self, *deliveries):
        with self.connection.cursor() as cursor:
            found = [entity_row(each) for each in deliveries]
            merge_rows(cursor, "upsert_entity", _QUERIES["upsert_entity"], found)
            self._canonical.write(cursor, found)


@pytest.fixture
def hands(dsn):
    found = [Hand(dsn), Hand(dsn)]
    yield found
    for hand in found:
        hand.connection.close()


@pytest.mark.parametrize("dependant_first", [True, False])
def test_a_dependency_and_its_target_that_are_written_at_once_find_each_other(dsn, hands, dependant_first):
    one, other = hands
    batches = [upsert(PAY, 1, spec={"dependsOn": [LEDGER]}), upsert(LEDGER, 1)]
    first, second = batches if dependant_first else batches[::-1]
    one.write(first)
    thread = threading.Thread(target=lambda: (other.write(second), other.connection.commit()))
    thread.start()
    await_lock(dsn, thread)
    one.connection.commit()
    thread.join(20)
    assert edges(dsn) == [(PAY, LEDGER, True)]


def test_a_new_dependency_on_a_service_that_goes_at_once_falls_back(dsn, hands, sink):
    sink.write([upsert(PAY, 1), upsert(LEDGER, 1)], {})
    one, _ = hands
    one.write(upsert(PAY, 2, spec={"dependsOn": [LEDGER]}))
    thread = threading.Thread(target=sink.write, args=([vanish(LEDGER, 2)], {}))
    thread.start()
    await_lock(dsn, thread)
    one.connection.commit()
    thread.join(20)
    assert edges(dsn) == [(PAY, LEDGER, False)]


def await_lock(dsn, thread):
    """Wait until somebody waits for a lock, or *thread* ended without."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    eventually(lambda: not thread.is_alive() or rows(dsn, waiting) != [(0,)], 20, pause=0.01)


def test_workers_that_write_what_depends_on_each_other_never_deadlock(dsn):
    """Each raises Retriable where Postgres ends it."""
    refs = [f"component:default/e{number}" for number in range(12)]
    faults = []

    def work(mine, others):
        rng = random.Random(mine[0])
        with closing(opened(dsn)) as worker:
            for version in range(1, 40):
                batch = [
                    upsert(ref, version, spec={"dependsOn": rng.sample(others, 3), "owner": f"team-{rng.randrange(3)}"})
                    if rng.random() < 0.7
                    else vanish(ref, version)
                    for ref in rng.sample(mine, 4)
                ]
                batch.append(upsert(f"group:default/team-{refs.index(mine[0]) % 3}", version))
                worker.write([*batch, hold(rng.choice(others), version, git=version)], {})

    def guarded(*args):
        try:
            work(*args)
        except Exception as fault:  # noqa: BLE001 - the test looks at it
            faults.append(fault)

    threads = [threading.Thread(target=guarded, args=(refs[n::2], refs)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    there = {ref for (ref,) in rows(dsn, "SELECT external_id FROM services")}
    assert faults == []
    assert [each for each in edges(dsn) if each[2] is not (each[1] in there)] == []


NAMES = ["component:default/a", "component:default/b", "group:default/a", "user:default/a"]
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "dependsOn": st.lists(st.sampled_from(["component:a", "component:b", "component:c"]), max_size=3),
        "owner": st.sampled_from(["a", "group:b"]),
        "memberOf": st.just(["a"]),
    },
)
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "tier": st.sampled_from(["1", "2"]),
        "dependencies": st.lists(
            st.fixed_dictionaries({"target": st.sampled_from("abc"), "isCritical": st.booleans()}), max_size=2
        ),
        "runbooks": st.lists(st.fixed_dictionaries({"url": st.sampled_from("xyz")}), max_size=3),
    },
)
STEP = st.tuples(st.sampled_from(NAMES), st.sampled_from("uuuvh"), SPECS, FACTS)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_whatever_the_order_and_the_batches_the_same_rows_come_of_the_same_events(dsn, steps, rng):
    events = [event(number, step) for number, step in enumerate(steps, 1)]
    found = []
    for batches in (([each] for each in events), mixed(events, rng)):
        clear(dsn)
        with closing(opened(dsn)) as sink:
            for batch in batches:
                sink.write(batch, {})
        found.append(dump(dsn))
    assert found[0] == found[1]


def event(version, step):
    ref, what, spec, facts = step
    if what == "u":
        return upsert(ref, version, spec=spec, service=facts)
    return vanish(ref, version) if what == "v" else hold(ref, version, git=version)


def mixed(events, rng):
    """Yield batches in which each key of each topic keeps its order, a part of them twice."""
    lines = {}
    for each in events:
        lines.setdefault((each.topic, each.key), []).append(each)
    order = []
    left = [list(line) for line in lines.values()]
    while left:
        line = rng.choice(left)
        order.append(line.pop(0))
        left = [each for each in left if each]
    while order:
        size = rng.randint(1, len(order))
        yield order[:size]
        if rng.random() < 0.3:
            yield order[:size]
        order = order[size:]
