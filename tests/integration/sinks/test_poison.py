"""Poison among many: whatever Postgres or the decoder refuses is found in a large batch, and all else is written."""

import psycopg
import pytest

from schemas.codec import encode_entity, encode_records
from schemas.entities import Texts
from sinks.postgres.sink import PostgresSink

GOOD = 120
VICTIM = "component:default/victim"


def ref(name):
    return f"component:default/{name}"


@pytest.fixture
def poisons(entity, records):
    """By key: the value of the entities topic, or of the changelog where the key says so."""

    def raw(name, entity_text=b"{}", **fields):
        return encode_entity(entity(ref(name), 7, **fields), Texts(entity_text, b"{}", b"{}"))

    whole = encode_entity(entity(ref("cut"), 7))
    return {
        "cut": whole[:-3],
        "longer": whole + b"x",
        "other-key": whole,
        "empty": b"",
        "schema": b"\x00\x00\x00\x00\x63" + whole[5:],
        "escaped-nul": raw("escaped-nul", b'{"a": "\\u0000"}'),
        "no-json": raw("no-json", b'{"a": '),
        "surrogate": raw("surrogate", b'{"a": "\\ud800"}'),
        "number": raw("number", b'{"a": 1e999999}'),
        "deep": raw("deep", b"[" * 200_000 + b"]" * 200_000),
        "nul-in-text": raw("nul-in-text", content_hash="a\0b"),
        "nul-in-list": raw("nul-in-list", stale=["a\0b"]),
        "records-cut": encode_records(records(7, "git"))[:-2],
        "records-no-json": encode_records(records(7, "git", content=b'{"entity":')),
        "records-no-entity": encode_records(records(7, "git", content=b'{"service":{}}')),
        "records-nul": encode_records(
            records(7, "git", content=b'{"entity":{"metadata":{"a":"\\u0000"}},"service":{}}')
        ),
    }


def test_every_kind_of_poison_is_set_aside_and_all_else_is_written_once(stage, dsn, entity, records, poisons):
    names = list(poisons)
    for number in range(GOOD):
        stage.producer.produce(
            stage.topics.entities, encode_entity(entity(ref(f"e{number}"), number + 1)), ref(f"e{number}").encode()
        )
        stage.producer.produce(
            stage.topics.changelog, encode_records(records(number + 1, "git")), ref(f"e{number}").encode()
        )
        if number % 7 == 3 and names:
            name = names.pop()
            topic = stage.topics.changelog if name.startswith("records-") else stage.topics.entities
            stage.producer.produce(topic, poisons[name], ref(name).encode())
    assert not names
    stage.producer.flush(30)
    running = stage.start(PostgresSink(stage.settings("postgres", dsn)))
    letters = {
        message.key().decode().rpartition("/")[2]: message
        for message in stage.read(stage.topics.dead_letters, len(poisons))
    }
    with psycopg.connect(dsn) as connection:
        read = "SELECT sum(next_offset)::int FROM sink_offsets"
        while connection.execute(read).fetchone() != (2 * GOOD + len(poisons),):
            assert running.fault is None
            connection.rollback()
        entities = dict(connection.execute("SELECT name, version FROM entities").fetchall())
        held = connection.execute("SELECT count(*) FROM entity_records").fetchone()
    assert running.stop() is None
    assert {name: message.value() for name, message in letters.items()} == poisons
    assert entities == {f"e{number}": number + 1 for number in range(GOOD)}
    assert held == (GOOD,)
    assert stage.ends(stage.topics.dead_letters) == len(poisons)


def test_poison_between_two_versions_of_an_entity_changes_their_order_in_nothing(stage, dsn, entity, eventually):
    def poison(version):
        return encode_entity(entity(VICTIM, version), Texts(b'{"a": "\\u0000"}', b"{}", b"{}"))

    def good(versions):
        return [encode_entity(entity(VICTIM, version, service={"of": version})) for version in versions]

    # What is older than another version of one batch is not looked at: the last poison is the newest of all.
    for value in (*good(range(1, 61)), poison(100), *good(range(101, 161)), *good((5,)), poison(200)):
        stage.producer.produce(stage.topics.entities, value, VICTIM.encode())
    stage.producer.flush(30)
    stage.start(PostgresSink(stage.settings("postgres", dsn)))
    (*_, letter) = stage.read(stage.topics.dead_letters, 1)
    with psycopg.connect(dsn, autocommit=True) as connection:
        eventually(lambda: connection.execute("SELECT sum(next_offset)::int FROM sink_offsets").fetchone() == (123,))
        assert connection.execute("SELECT version, service FROM entities").fetchall() == [(160, {"of": 160})]
    assert letter.value() in (poison(100), poison(200))
