"""Who changed what, when: `entity_history` as the Postgres sink writes it, and as the API answers it."""

import json
import re
import subprocess
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import conninfo, sql

from mainstem.api.shapes import timestamp
from schemas.database import migrate
from schemas.topics import Topics
from sinks.base import SinkSettings
from sinks.postgres.history import WEEK, week_of
from sinks.postgres.sink import PostgresSink
from tests.integration.deliveries import TOPICS, opened, rows, upsert, vanish
from tests.integration.test_api import serving

PAY = "component:default/pay"
START = (int(time.time()) - 3_600) * 1000
AT = (TOPICS.entities, 0)
GIT = {"/metadata/name": "git", "/service/tier": "cmdb", "/metadata/tags": ["git", "cmdb"]}
TOLD = "SELECT version, change, changed, before, after, connectors FROM entity_history ORDER BY at, version, entity_ref"


@pytest.fixture(scope="module")
def module_dsn(postgres):
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = conninfo.make_conninfo(postgres, dbname=name)
    migrate(dsn)
    yield dsn
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def dsn(module_dsn):
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE entities, entity_history, sink_offsets, sink_rebuilds, sink_seen, stated_relations CASCADE"
        )
    return module_dsn


@pytest.fixture
def sink(dsn):
    with closing(opened(dsn)) as found:
        yield found


@pytest.fixture(scope="module")
def client(module_dsn):
    with serving(dsn=module_dsn) as found:
        yield found


def pay(version, tier, *, ref=PAY, tags=("java",), **told):
    """Return a version of an entity, *version* seconds after the start."""
    made = {"content_hash": f"{tier} {tags}", "merged_at": START + version * 1000, "provenance": GIT, **told}
    return upsert(ref, version, service={"tier": tier} if tier else {}, metadata={"tags": list(tags)}, **made)


def updated(version, tier, *changed, **told):
    return pay(version, tier, change="updated", changed=list(changed), **told)


def gone(version, ref=PAY):
    return vanish(ref, version, START + version * 1000)


def whole(tier, tags=("java",)):
    metadata = {"name": "pay", "namespace": "default", "tags": list(tags)}
    service = {"tier": tier} if tier else {}
    return {"": {"entity": {"kind": "Component", "metadata": metadata, "spec": {}}, "service": service}}


STORY = [
    pay(1, "tier2"),
    updated(2, "tier1", "/service/tier"),
    updated(3, None, "/metadata/tags", "/service/tier", tags=("go",), provenance={"/metadata/tags": ["git"]}),
    gone(4),
    pay(5, "tier2"),
]
TIER = ["/service/tier"]
HISTORY = [
    (1, "created", [""], None, whole("tier2"), ["cmdb", "git"]),
    (2, "updated", TIER, {"/service/tier": "tier2"}, {"/service/tier": "tier1"}, ["cmdb"]),
    (
        *(3, "updated", ["/metadata/tags", "/service/tier"]),
        {"/metadata/tags": ["java"], "/service/tier": "tier1"},
        *({"/metadata/tags": ["go"]}, ["cmdb", "git"]),
    ),
    (4, "deleted", [], whole(None, ["go"]), None, ["git"]),
    (5, "created", [""], None, whole("tier2"), ["cmdb", "git"]),
]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_each_change_is_told_once_however_it_is_batched_and_repeated(dsn, sink, size):
    batches = [STORY[begin : begin + size] for begin in range(0, len(STORY), size)]
    for batch in [*batches, *batches, STORY]:
        sink.write(batch, {})
    assert rows(dsn, TOLD) == HISTORY


def test_a_large_batch_is_told_as_a_small_one_is(dsn, sink):
    many = [f"component:default/n{number}" for number in range(40)]
    sink.write([pay(1, "tier2", ref=ref) for ref in many], {})
    sink.write([updated(2, "tier1", "/service/tier", ref=ref) for ref in many], {})
    assert rows(dsn, TOLD)[-1] == HISTORY[1]
    assert rows(dsn, "SELECT count(DISTINCT entity_ref), count(*) FROM entity_history") == [(40, 80)]


def test_what_changes_no_content_is_no_change(dsn, sink):
    same = {"change": "updated", "changed": [""]}
    sink.write([pay(1, "tier2")], {})
    sink.write([pay(2, "tier2", stale=["git"], change="updated", changed=[])], {})
    sink.write([pay(3, "tier2", **same), pay(4, "tier2", provenance={"/service/tier": "git"}, **same)], {})
    assert [row[0] for row in rows(dsn, TOLD)] == [1]


def test_a_version_that_compaction_took_is_part_of_the_next_change(dsn, sink):
    sink.write([STORY[0]], {})
    sink.write([STORY[2]], {})
    connectors, before = ["cmdb", "git"], {"/metadata/tags": ["java"], "/service/tier": "tier2"}
    assert rows(dsn, TOLD)[1:] == [
        (3, "updated", ["/metadata/tags", "/service/tier"], before, {"/metadata/tags": ["go"]}, connectors)
    ]


def test_numbers_that_postgres_writes_in_another_way_have_not_changed(dsn, sink):
    provenance = GIT | {"/spec/n": "git"}
    sink.write([pay(1, "tier2", spec={"n": 1e22}, provenance=provenance)], {})
    sink.write([updated(2, "tier1", "/service/tier", spec={"n": 1e22}, provenance=provenance)], {})
    sink.write([updated(3, "tier1", "/spec/n", spec={"n": True}, provenance=provenance, content_hash="x")], {})
    sink.write([updated(4, "tier1", "/spec/n", spec={"n": 1}, provenance=provenance, content_hash="y")], {})
    assert [row[2] for row in rows(dsn, TOLD)] == [[""], TIER, ["/spec/n"], ["/spec/n"]]


def test_an_update_of_which_nothing_is_known_before_tells_what_it_said_itself(dsn, sink):
    sink.write([STORY[1]], {})
    assert rows(dsn, TOLD) == [(2, "updated", TIER, None, {"/service/tier": "tier1"}, ["cmdb"])]


def test_rows_that_were_lost_and_come_again_add_nothing(dsn, sink):
    for each in STORY:
        sink.write([each], {})
    with psycopg.connect(dsn) as connection:
        connection.execute("TRUNCATE entities CASCADE")
    sink.write([STORY[4]], {})
    assert rows(dsn, TOLD) == HISTORY


def test_a_rebuild_tells_nothing_anew_but_the_end_of_what_it_did_not_find(dsn):
    """A delete was missed: the topic has forgotten it."""
    settings = SinkSettings(name="postgres", topics=Topics(partitions=1), client={}, dsn=dsn)
    lost = "component:default/lost"
    with closing(PostgresSink(settings)) as sink:
        sink.stored_positions([AT])
        sink.write([*STORY[:2], pay(1, "tier2", ref=lost)], {AT: 3})
        sink.request_rebuild([AT])
    with closing(PostgresSink(settings)) as sink:
        assert sink.stored_positions([AT]) == {}
        sink.rewind({AT: 0})
        sink.write([STORY[1]], {AT: 3})
        assert sink.finish_rebuild(AT) == 1
        told = "SELECT entity_ref, version, change, before, connectors FROM entity_history ORDER BY at, entity_ref"
        before = {"": whole("tier2")[""] | {}}
        before[""]["entity"]["metadata"]["name"] = "lost"
        assert rows(dsn, told)[-1] == (lost, 1, "deleted", before, ["cmdb", "git"])
        assert rows(dsn, "SELECT count(*) FROM entity_history") == [(4,)]
        sink.write([pay(1, "tier2", ref=lost)], {})
        assert rows(dsn, "SELECT change FROM entity_history WHERE entity_ref = %s", lost) == [("created",)]


def weeks(dsn):
    found = rows(dsn, "SELECT relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
                      " WHERE inhparent = 'entity_history'::regclass ORDER BY 1")  # fmt: skip
    return [name for (name,) in found]


def test_partitions_are_made_ahead_and_dropped_when_all_of_them_is_too_old(database):
    migrate(database)
    now = datetime.now(UTC)
    old = round((now - timedelta(days=60)).timestamp() * 1000)
    with closing(opened(database)) as sink:
        sink.write([pay(1, "tier2", merged_at=old), pay(1, "tier2", ref="component:default/new")], {})
        sink.write([pay(1, "tier2", ref="component:default/ancient", merged_at=START - 91 * 86_400_000)], {})
        sink.write([pay(1, "tier2", ref="component:default/odd", merged_at=START + 400 * 86_400_000)], {})
        sink.tend()
    named = [f"entity_history_{each:%Y_%m_%d}" for each in
             (week_of(now - timedelta(days=60)), *(week_of(now) + n * WEEK for n in range(3)))]  # fmt: skip
    assert set(named) <= set(weeks(database))
    assert rows(database, "SELECT count(*) FROM entity_history") == [(2,)]
    with closing(opened(database, options={"keep_history": "30d"})) as sink:
        sink.tend()
    assert named[0] not in weeks(database)
    assert rows(database, "SELECT entity_ref FROM entity_history") == [("component:default/new",)]


def get(client, path, status=200, **query):
    answer = client.get(f"/v1/{path}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def read(client, path, **query):
    """Yield the pages of a list."""
    cursor = {}
    while cursor is not None:
        page = get(client, path, **query, **cursor)
        yield page["items"]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None


def test_the_history_of_an_entity_is_answered_newest_first_also_after_its_end(sink, client):
    sink.write(STORY[:4], {})
    found = get(client, f"entities/{quote('Component:Pay', safe='')}/history")
    names = ("version", "change", "changed", "before", "after", "connectors")
    told = [dict(zip(names, row, strict=True)) for row in reversed(HISTORY[:4])]
    expected = [
        {"entity_ref": PAY, **each, "at": timestamp(datetime.fromtimestamp(START / 1000 + each["version"], UTC))}
        for each in told
    ]
    assert found == {"items": expected, "next_cursor": None}
    assert get(client, f"entities/{PAY}/history", limit=1, fields="version")["items"] == [{"version": 4}]


def test_an_entity_that_nobody_knows_has_no_history_and_one_of_before_an_empty_one(sink, client):
    sink.write([*STORY, pay(1, "tier1", ref="component:default/theirs", tenant="acme")], {})
    sink.write([pay(1, "tier2", ref="component:default/old", merged_at=START - 91 * 86_400_000)], {})
    assert get(client, "entities/component:nobody/history", 404)["title"] == "Not found"
    assert get(client, "entities/component:theirs/history", 404)["title"] == "Not found"
    assert get(client, "entities/component:old/history") == {"items": [], "next_cursor": None}
    assert get(client, "entities/pay/history", 400)["position"] == 3
    assert {item["entity_ref"] for item in get(client, "history")["items"]} == {PAY}


def test_history_is_read_page_by_page_each_change_once_while_others_are_written(sink, client):
    for number in range(1, 12):
        sink.write([pay(number, f"tier{number}", merged_at=START + number // 3)], {})
        sink.write([pay(number, "x", ref="component:default/other", merged_at=START + number // 3)], {})
    found, single = [], []
    for number, page in enumerate(read(client, "history", limit=3)):
        found += [(item["entity_ref"], item["version"]) for item in page]
        sink.write([pay(100 + number, f"later{number}")], {})
    for page in read(client, f"entities/{PAY}/history", limit=3):
        single += [item["version"] for item in page]
    earlier = [each for each in found if each[1] < 100]
    assert sorted(earlier) == sorted([("component:default/other", 1), *((PAY, number) for number in range(1, 12))])
    assert found == earlier
    assert single == sorted(single, reverse=True)


def test_history_since_a_moment_is_what_changed_from_then_on(sink, client):
    sink.write(STORY, {})
    since = datetime.fromtimestamp(START / 1000 + 3, UTC)
    for text in (timestamp(since), since.astimezone(timezone_of(2)).isoformat()):
        assert [item["version"] for item in get(client, "history", since=text)["items"]] == [5, 4, 3]


def timezone_of(hours):
    return datetime.strptime(f"+{hours:02}00", "%z").tzinfo


@pytest.mark.parametrize("since", ["yesterday", "2026-11-20", "2026-11-20T10:00:00", "2026-13-20T10:00:00Z", "",
                                   "2026-11-20T10:00:00 02:00", "0001-01-01T00:00:00+14:00"])  # fmt: skip
def test_a_since_that_is_no_moment_is_refused(client, since):
    assert get(client, "history", 400, since=since)["detail"].startswith("since is a moment in RFC 3339")


@pytest.mark.parametrize("cursor", ["x", "eA==", quote("MjAyNi0xMS0yMFQxMDowMDowMFogOTk5OTk5OTk5OTk5OTk5OTk5OTkgYQ==")])
def test_a_cursor_of_ones_own_invention_is_refused(client, cursor):
    assert get(client, "history", 400, cursor=cursor)["detail"] == "cursor is none that a list gave"


PAGE = (Path(__file__).parents[2] / "docs/how-to/what-changed.md").read_text()
PAIRS = re.findall(r"^```bash\n(curl -s .*?)^```\n\n```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def incident(sink):
    sink.write([pay(1, "tier2"), pay(1, "tier3", ref="component:default/ledger", provenance={"/kind": "git"})], {})
    owned = {"spec": {"owner": "team-pay"}, "provenance": GIT | {"/spec/owner": "git"}}
    sink.write([updated(2, "tier1", "/service/tier", "/spec/owner", **owned)], {})
    sink.write([gone(3, "component:default/ledger")], {})


@pytest.mark.usefixtures("incident")
@pytest.mark.parametrize(("question", "answer"), PAIRS)
def test_a_question_of_the_page_is_answered_as_the_page_says(client, question, answer):
    since = timestamp(datetime.fromtimestamp(START / 1000, UTC))
    asked = question.replace("2026-11-20T09:30:00Z", since).replace(
        "localhost:8080", f"{client.base_url}"[7:].rstrip("/")
    )
    told = json.loads(subprocess.check_output(["bash", "-c", asked]))
    assert json.loads(answer) == {**told, "next_cursor": told["next_cursor"] and "…"}


def test_no_question_of_the_page_is_left_out():
    assert len(PAIRS) == PAGE.count("curl -s ")
