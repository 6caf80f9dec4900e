"""The Postgres sink on a real Kafka and a real Postgres."""

import contextlib
import math

import psycopg
import pytest

from schemas.codec import encode_entity
from schemas.errors import FencedError, Retriable, Skippable, TopicMismatchError, UnavailableError
from sinks.base import Delivery
from sinks.postgres.sink import PostgresSink

PAY = "component:default/payment-api"


def rows(dsn, query, *values):
    with psycopg.connect(dsn) as connection:
        return connection.execute(query, values).fetchall()


def versions(dsn):
    return dict(rows(dsn, "SELECT entity_ref, version FROM entities"))


def delivery(stage, entity, offset):
    return Delivery(
        topic=stage.topics.entities,
        partition=0,
        offset=offset,
        key=entity.entity_ref.encode(),
        value=encode_entity(entity),
        headers=[],
        timestamp=0,
    )


def test_an_entity_comes_changes_vanishes_and_returns(stage, dsn, entity, eventually):
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    seen = []
    for step in (1, 2, 3, 4):
        if step == 3:
            stage.vanish(PAY, 3, merged_at=5000)
        else:
            stage.upsert(entity(PAY, step, service={"tier": step}, stale=["git"]))
        eventually(lambda step=step: versions(dsn).get(PAY) == step)
        seen += rows(dsn, "SELECT service, extract(epoch FROM deleted_at)::int, stale FROM entities")
    assert running.stop() is None
    expected = [({"tier": 1}, None), ({"tier": 2}, None), ({"tier": 2}, 5), ({"tier": 4}, None)]
    assert seen == [(*row, ["git"]) for row in expected]


def test_an_entity_that_never_existed_has_no_row(stage, dsn, entity, eventually):
    stage.vanish(PAY, 3)
    stage.upsert(entity("component:default/other", 1))
    stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: versions(dsn) == {"component:default/other": 1})


def test_an_older_version_that_comes_later_changes_nothing(stage, dsn, entity):
    sink = PostgresSink(stage.settings("postgres", dsn))
    sink.stored_positions([(stage.topics.entities, 0)])
    for offset, version in enumerate((5, 4)):
        found = entity(PAY, version, service={"version": version})
        sink.write([delivery(stage, found, offset)], {(stage.topics.entities, 0): offset + 1})
    sink.close()
    assert rows(dsn, "SELECT version, service FROM entities") == [(5, {"version": 5})]


def test_what_was_written_is_not_read_again_whatever_kafka_knows(stage, dsn, entity, eventually):
    for number in range(20):
        stage.upsert(entity(f"component:default/e{number}", number + 1))
    first = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: len(versions(dsn)) == 20)
    assert first.stop() is None
    stage.forget_group("postgres")
    second = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    stage.upsert(entity("component:default/e20", 99))
    eventually(lambda: len(versions(dsn)) == 21)
    assert second.stop() is None
    assert second.count("mainstem_sink_records_total", stage.topics.entities) == 1


def test_a_transaction_that_fails_moves_neither_rows_nor_offsets(stage, dsn, entity):
    sink = PostgresSink(stage.settings("postgres", dsn))
    sink.stored_positions([(stage.topics.entities, 0)])
    poison = entity("component:default/nul", 2, service={"text": "\0"})
    with pytest.raises(Skippable):
        sink.write([delivery(stage, entity(PAY, 1), 0), delivery(stage, poison, 1)], {(stage.topics.entities, 0): 2})
    sink.close()
    assert rows(dsn, "SELECT (SELECT count(*) FROM entities), (SELECT count(*) FROM sink_offsets)") == [(0, 0)]


def test_a_commit_whose_answer_was_lost_is_no_reason_to_stop(stage, dsn, entity, monkeypatch):
    sink = PostgresSink(stage.settings("postgres", dsn))
    at = (stage.topics.entities, 0)
    sink.stored_positions([at])
    whole = psycopg.Connection.transaction

    @contextlib.contextmanager
    def answer_lost(self):
        with whole(self) as transaction:
            yield transaction
        self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    for offset in (0, 1):
        batch = [delivery(stage, entity(PAY, offset + 1), offset)]
        monkeypatch.setattr(psycopg.Connection, "transaction", answer_lost)
        with pytest.raises(Retriable):
            sink.write(batch, {at: offset + 1})
        monkeypatch.undo()
        sink.write(batch, {at: offset + 1})
    sink.close()
    assert rows(dsn, "SELECT next_offset FROM sink_offsets") == [(2,)]


def test_poison_goes_to_the_dead_letters_and_the_line_moves_on(stage, dsn, entity, eventually):
    poisons = {
        b"component:default/nul": (encode_entity(entity("component:default/nul", 1, service={"text": "a\0b"})), []),
        b"component:default/cut": (encode_entity(entity("component:default/cut", 1))[:-3], [("trace", b"\xff\x00")]),
        b"\xff\x00odd": (b"\x00\x01", [("trace", b"")]),
        b"component:default/tomb": (None, [("mergedAt", b"1")]),
    }
    for number in range(40):
        stage.upsert(entity(f"component:default/e{number}", number + 1))
        if number % 10 == 5:
            key = list(poisons)[number // 10]
            stage.publish(stage.topics.entities, key, *poisons[key])
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: len(versions(dsn)) == 40)
    found = {message.key(): message for message in stage.read(stage.topics.dead_letters, 4)}
    assert running.stop() is None
    assert {key: message.value() for key, message in found.items()} == {
        key: value for key, (value, _) in poisons.items()
    }
    headers = found[b"component:default/cut"].headers()
    assert headers[0] == ("trace", b"\xff\x00")
    ours = dict(headers[1:])
    assert (
        ours["mainstem-origin-topic"],
        ours["mainstem-stage"],
        ours["mainstem-error"],
        ours["mainstem-attempts"],
    ) == (
        stage.topics.entities.encode(),
        b"sink:postgres",
        b"DecodeError",
        b"1",
    )
    assert {"mainstem-origin-partition", "mainstem-origin-offset", "mainstem-origin-timestamp"} <= set(ours)
    assert all(b"a\0b" not in (value or b"") for _, value in found[b"component:default/nul"].headers())
    assert rows(dsn, "SELECT sum(next_offset)::int FROM sink_offsets") == [(44,)]


def test_a_poison_at_the_end_still_moves_the_offset(stage, dsn, eventually):
    stage.publish(stage.topics.entities, b"component:default/cut", b"\x00")
    stage.start(PostgresSink(stage.settings("postgres", dsn)))
    query = "SELECT next_offset FROM sink_offsets WHERE next_offset > 0"
    eventually(lambda: rows(dsn, query) == [(1,)])


def test_a_killed_backend_is_replaced_and_nothing_is_lost(stage, dsn, entity, eventually):
    kill = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'mainstem-sink-postgres'
    """
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    for number in range(300):
        stage.upsert(entity(f"component:default/e{number}", number + 1))
        if number % 60 == 30:
            eventually(lambda: rows(dsn, kill) == [(True,)])
    eventually(lambda: len(versions(dsn)) == 300)
    assert running.stop() is None
    assert running.total("mainstem_sink_retries_total") >= 1
    assert stage.ends(stage.topics.dead_letters) == 0


def test_a_locked_table_is_waited_for_while_the_sink_stays_in_its_group(stage, dsn, entity, eventually):
    with psycopg.connect(dsn) as holder:
        running = stage.start(PostgresSink(stage.settings("postgres", f"{dsn} options='-c lock_timeout=300ms'")))
        holder.execute("LOCK TABLE entities")
        stage.upsert(entity(PAY, 1))
        eventually(lambda: running.total("mainstem_sink_retries_total") >= 3)
        holder.rollback()
    eventually(lambda: versions(dsn) == {PAY: 1})
    assert running.stop() is None


def test_of_two_processes_with_one_partition_the_second_is_fenced(stage, dsn, entity):
    at = (stage.topics.entities, 0)
    sinks = [PostgresSink(stage.settings("postgres", dsn)) for _ in range(2)]
    for sink in sinks:
        sink.stored_positions([at])
    sinks[0].write([delivery(stage, entity(PAY, 1), 0)], {at: 1})
    with pytest.raises(FencedError):
        sinks[1].write([delivery(stage, entity("component:default/late", 2), 0)], {at: 2})
    sinks[1].stored_positions([at])
    sinks[1].write([], {at: 3})
    with pytest.raises(FencedError):
        sinks[0].write([delivery(stage, entity("component:default/late", 2), 1)], {at: 2})
    for sink in sinks:
        sink.close()
    assert versions(dsn) == {PAY: 1}


def test_offsets_that_were_reset_fence_the_process_that_runs(stage, dsn, entity, eventually):
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    stage.upsert(entity(PAY, 1))
    eventually(lambda: versions(dsn) == {PAY: 1})
    with psycopg.connect(dsn) as connection:
        connection.execute("DELETE FROM sink_offsets")
    stage.upsert(entity(PAY, 2))
    assert isinstance(running.ended(), FencedError)


def test_a_topic_that_was_replaced_ends_the_sink_with_what_to_do(stage, dsn):
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO sink_offsets VALUES ('postgres', %s, 1, 1000)", [stage.topics.entities])
    fault = stage.start(PostgresSink(stage.settings("postgres", dsn))).ended()
    assert isinstance(fault, TopicMismatchError)
    assert "mainstem sinks rebuild postgres" in str(fault)


def test_each_held_record_has_a_row_until_it_is_forgotten(stage, dsn, records, eventually):
    query = (
        "SELECT data_source, metadata, service, priority_score, deleted, state_version FROM entity_records ORDER BY 1"
    )
    content = ({"name": "pay"}, {"tier": 1})
    stage.start(PostgresSink(stage.settings("postgres", dsn)))
    stage.hold(PAY, records(1, "cmdb", "git", priority=7))
    eventually(lambda: rows(dsn, query) == [("cmdb", *content, 7, False, 1), ("git", *content, 7, False, 1)])
    stage.hold(PAY, records(2, "git", content=None, content_hash=""))
    eventually(lambda: rows(dsn, query) == [("git", None, None, None, True, 2)])
    stage.hold(PAY, records(1, "cmdb", "pager"))
    stage.hold(PAY, records(3, "git", "pager"))
    eventually(lambda: [(row[0], row[-1]) for row in rows(dsn, query)] == [("git", 3), ("pager", 3)])
    stage.forget(PAY, 2)
    stage.forget("component:default/other", 9)
    eventually(lambda: rows(dsn, "SELECT sum(next_offset)::int FROM sink_offsets") == [(6,)])
    assert [row[0] for row in rows(dsn, query)] == ["git", "pager"]
    stage.forget(PAY, 4)
    eventually(lambda: rows(dsn, query) == [])


def test_older_records_that_come_later_change_nothing(stage, dsn, records, eventually):
    stage.start(PostgresSink(stage.settings("postgres", dsn)))
    stage.hold(PAY, records(5, "git"))
    eventually(lambda: rows(dsn, "SELECT data_source FROM entity_records") == [("git",)])
    stage.hold(PAY, records(4, "git", "cmdb"))
    eventually(lambda: rows(dsn, "SELECT sum(next_offset)::int FROM sink_offsets") == [(2,)])
    assert rows(dsn, "SELECT data_source, state_version FROM entity_records") == [("git", 5)]


@pytest.mark.parametrize(
    ("observed_at", "ttl", "expected"),
    [
        (2**63 - 1, None, ("infinity", None)),
        (-(2**63), 60, ("-infinity", "-infinity")),
        (0, math.inf, ("1970-01-01 00:00:00", "infinity")),
        (0, 2**62, ("1970-01-01 00:00:00", "infinity")),
        (1500, 1, ("1970-01-01 00:00:01.5", "1970-01-01 00:00:02.5")),
    ],
)
def test_times_of_any_size_are_kept(stage, dsn, records, eventually, *, observed_at, ttl, expected):
    stage.hold(PAY, records(1, "git", observed_at=observed_at, ttl=ttl))
    stage.start(PostgresSink(stage.settings("postgres", dsn)))
    query = (
        "SELECT (last_touched AT TIME ZONE 'UTC')::text, (expiration_date AT TIME ZONE 'UTC')::text FROM entity_records"
    )
    eventually(lambda: rows(dsn, query) == [expected])


def test_keys_of_the_processor_are_passed_over(stage, dsn, records, eventually):
    stage.publish(stage.topics.changelog, b"\x00epoch", b"anything")
    stage.hold(PAY, records(1, "git"))
    stage.start(PostgresSink(stage.settings("postgres", dsn)))
    eventually(lambda: rows(dsn, "SELECT sum(next_offset)::int FROM sink_offsets") == [(2,)])
    assert stage.ends(stage.topics.dead_letters) == 0


@pytest.mark.parametrize("words", ["payment", "api", "payments & ledger", "team-pay", "checkout", "tier"])
def test_search_finds_an_entity_by_parts_of_what_is_said_about_it(stage, dsn, entity, words):
    body = {
        "metadata": {
            "name": "payment-api",
            "title": "Payments.Ledger",
            "tags": ["tier-one"],
            "description": "for checkout",
        },
        "spec": {"owner": "group:default/team-pay"},
    }
    sink = PostgresSink(stage.settings("postgres", dsn))
    sink.stored_positions([])
    sink.write([delivery(stage, entity(PAY, 1, entity=body), 0)], {})
    sink.close()
    query = "SELECT name FROM entities WHERE search @@ to_tsquery('simple', %s)"
    assert rows(dsn, query, words.replace("team-pay", "team & pay")) == [("payment-api",)]


def test_an_entity_of_four_megabytes_has_its_row(stage, dsn, entity):
    body = {"metadata": {"name": "payment-api", "description": "word " * 800_000}}
    sink = PostgresSink(stage.settings("postgres", dsn))
    sink.stored_positions([])
    sink.write([delivery(stage, entity(PAY, 1, entity=body), 0)], {})
    sink.close()
    assert versions(dsn) == {PAY: 1}


def test_a_database_that_refuses_ends_the_sink(stage, dsn):
    fault = stage.start(PostgresSink(stage.settings("postgres", f"{dsn} dbname=nowhere"))).ended()
    assert isinstance(fault, UnavailableError)


def test_a_database_without_tables_ends_the_sink_with_what_to_do(stage, database):
    fault = stage.start(PostgresSink(stage.settings("postgres", database))).ended()
    assert isinstance(fault, UnavailableError)
    assert "mainstem db migrate" in str(fault)


def test_a_database_that_is_away_is_waited_for(stage, eventually):
    running = stage.start(PostgresSink(stage.settings("postgres", "host=127.0.0.1 port=1 dbname=x")))
    eventually(lambda: running.total("mainstem_sink_retries_total") >= 3)
    assert running.stop() is None


def test_what_exceeds_a_limit_of_postgres_is_set_aside(stage, dsn, records, eventually):
    stage.hold(PAY, records(1, "".join(chr(0x4E00 + number * 37 % 20000) for number in range(9000))))
    stage.start(PostgresSink(stage.settings("postgres", dsn)))
    (letter,) = stage.read(stage.topics.dead_letters, 1)
    assert dict(letter.headers())["mainstem-reason"] == b"Postgres cannot hold it: ProgramLimitExceeded (54000)"
    eventually(lambda: rows(dsn, "SELECT sum(next_offset)::int FROM sink_offsets") == [(1,)])
