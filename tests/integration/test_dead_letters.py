"""`mainstem dead-letters` on a real topic and a real database."""

import json
import time
import uuid
from types import SimpleNamespace

import psycopg
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from mainstem.cli import app
from mainstem.cluster import Cluster
from schemas.database import migrate
from schemas.dead_letters import dead_letter_headers
from schemas.errors import ConfigError, DecodeError, MainstemError, MergeError, UnavailableError
from schemas.topics import FORWARDED_FROM, Topics
from tests.acceptance.running import write_config
from tests.integration.kill.kafka_io import produce_and_wait, read_all

HOUR, DAY = 3_600_000, 86_400_000
KEY, VALUE = b"component:default/pay", b'{"canary": "kan4rie"}'


class Letters:
    """An installation of its own; *run* is its command line, and *put* writes a dead letter as the processor does."""

    def __init__(self, bootstrap, dsn, home):
        self.bootstrap, self.dsn = bootstrap, dsn
        self.topics = Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=2, replication_factor=1)
        Cluster({"bootstrap.servers": bootstrap}).create(self.topics.definitions(["git", "team"]))
        settings = {
            "kafka": {"bootstrap_servers": bootstrap},
            "postgres": {"dsn": dsn},
            "topics": {"prefix": self.topics.prefix, "partitions": 2, "replication_factor": 1},
        }
        self.options = ["--config", str(write_config(home / "mainstem.yaml", settings)), "--data-dir", str(home)]
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "message.max.bytes": 2_000_000,
                "log_level": 0,
            }
        )

    def put(
        self, *, connector="git", error=None, stage="decode", key=KEY, value=VALUE, age=HOUR, headers=(), **options
    ):
        """Write one; return its id and its origin."""
        error = error or DecodeError("not JSON")
        origin, timestamp = f"{self.topics.changes(connector)}/1/{uuid.uuid4().int % 10**6}", now() - age
        ours = dead_letter_headers(error, stage=stage, origin=origin, timestamp=timestamp, attempts=1)
        sent = produce_and_wait(
            self._producer, self.topics.dead_letters, value, key, headers=[*headers, *ours], **options
        )
        return SimpleNamespace(id=f"{sent.partition}/{sent.offset}", origin=origin, timestamp=timestamp)

    def run(self, *arguments, **options):
        return CliRunner().invoke(app, ["dead-letters", *arguments, *self.options], **options)

    def listed(self, *filters):
        """Return the rows of `list`."""
        ended = self.run("list", "--json", *filters)
        assert ended.exit_code == 0, ended.exception
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def ids(self, *filters):
        return [row["id"] for row in self.listed(*filters)]

    def changes(self, connector="git"):
        return list(read_all(self.bootstrap, self.topics.changes(connector), 2))


def now():
    return int(time.time() * 1000)


@pytest.fixture
def letters(kafka, database, tmp_path):
    migrate(database)
    return Letters(kafka, database, tmp_path)


def test_a_replay_is_the_change_as_it_came_first(letters):
    before = [("trace", b"abc"), ("mainstem-reason", b"of somebody else"), (FORWARDED_FROM, b"wrong/0/0")]
    letter = letters.put(headers=before)
    ended = letters.run("replay", letter.id)
    (change,) = letters.changes()
    assert (ended.exit_code, f"{letter.id} component:default/pay replayed to ") == (
        0,
        ended.stdout[: len(letter.id) + 35],
    )
    assert (change.key(), change.value(), change.timestamp()[1]) == (KEY, VALUE, letter.timestamp)
    assert change.headers() == [*before[:2], (FORWARDED_FROM, letter.origin.encode())]


@pytest.mark.parametrize(("key", "value"), [(None, b"\x00\xff"), (b"", b"{}"), (b"\xff", None)])
def test_any_key_and_value_are_replayed_byte_for_byte(letters, key, value):
    letters.run("replay", letters.put(key=key, value=value).id)
    (change,) = letters.changes()
    assert (change.key(), change.value()) == (key, value)


def test_what_was_decided_is_not_listed_again_and_who_decided_is_known(letters):
    replayed, discarded, left = letters.put(), letters.put(), letters.put()
    letters.run("replay", replayed.id)
    letters.run("discard", discarded.id)
    assert letters.ids() == [left.id]
    decisions = {row["id"]: row["decision"] for row in letters.listed("--all")}
    assert decisions[left.id] is None
    assert [decisions[each.id]["verdict"] for each in (replayed, discarded)] == ["replayed", "discarded"]
    assert all("@" in decisions[each.id]["by"] for each in (replayed, discarded))


def test_a_decision_is_about_one_topic_of_one_cluster_and_one_letter(letters):
    letter = letters.put()
    letters.run("discard", letter.id)
    with psycopg.connect(letters.dsn) as connection:
        for change in ("cluster_id = 'other'", "topic = 'other'", "set_aside_ms = set_aside_ms - 1"):
            connection.execute(f"UPDATE dead_letter_decisions SET {change}")
            connection.commit()
            assert letters.ids() == [letter.id], change
            letters.run("discard", letter.id)
            assert letters.ids() == []


def test_letters_are_chosen_by_what_they_are(letters):
    a = letters.put()
    b = letters.put(
        connector="team", stage="merge", error=MergeError("far Too large"), key=b"acme|component:default/Pay2"
    )
    c = letters.put(stage="sink:postgres", key=b"api:default/orders", timestamp=now() - 2 * DAY)
    found = {
        "--connector team": [b],
        f"--topic {letters.topics.changes('git')}": [a, c],
        "--stage sink:*": [c],
        "--stage merge --stage decode": [a, b],
        "--error mergeerror": [b],
        "--key component:default/PAY*": [a, b],
        "--key component:default/pay": [a],
        "--reason TOO": [b],
        "--since 24h": [a, b],
        "--until 24h": [c],
        "--since 3d --until 1d": [c],
        "--since 2999-01-01": [],
        "--since 2001-01-01T00:00:00Z --connector git --stage decode": [a],
    }
    assert {text: sorted(letters.ids(*text.split())) for text in found} == {
        text: sorted(each.id for each in wanted) for text, wanted in found.items()
    }


def test_a_filter_shows_its_count_and_does_nothing_without_yes(letters):
    wanted = [letters.put(connector="team") for _ in range(3)]
    other = letters.put()
    asked = letters.run("replay", "--connector", "team")
    assert (str(asked.exception), letters.changes("team")) == ("3 dead letters to replay: add --yes to do it", [])
    done = letters.run("replay", "--connector", "team", "--yes", "--json")
    assert {json.loads(line)["id"] for line in done.stdout.splitlines()} == {each.id for each in wanted}
    assert len(letters.changes("team")) == 3
    assert letters.ids() == [other.id]
    again = letters.run("replay", "--connector", "team", "--yes")
    assert (again.exit_code, again.stdout, len(letters.changes("team"))) == (0, "", 3)


def test_one_older_than_deletes_are_remembered_is_replayed_with_force_alone(letters):
    old, young = letters.put(age=8 * DAY), letters.put(age=6 * DAY)
    refused = letters.run("replay", old.id, young.id)
    assert (refused.exit_code, len(letters.changes())) == (1, 1)
    assert f"{old.id}: it is older than 7 days" in refused.stderr
    assert letters.ids() == [old.id]
    assert letters.run("replay", old.id, "--force").exit_code == 0
    assert old.timestamp in [change.timestamp()[1] for change in letters.changes()]


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_a_name_that_is_wrong_stops_none_of_the_others(letters, verb):
    first, last = letters.put(), letters.put()
    ended = letters.run(verb, first.id, "1/999", "pay", last.id)
    told = ended.stderr.splitlines()
    assert [line.split()[0] for line in ended.stdout.splitlines()] == [first.id, last.id]
    assert letters.ids() == []
    assert (ended.exit_code, len(told)) == (1, 2)
    assert told[0].startswith("there is no dead letter 1/999")
    assert told[1].startswith("'pay' is no dead letter")


@pytest.mark.parametrize("stage", ["decode", "*", "d*", "s*", "sink:postgres", "sink:*", "*ost*"])
def test_a_stage_that_there_may_be_is_looked_for(letters, stage):
    assert letters.run("list", "--stage", stage).exit_code == 0


@pytest.mark.parametrize(
    ("letter", "sentence"),
    [
        ({"stage": "sink:postgres"}, "`mainstem sinks rebuild postgres` reads it again"),
        ({"connector": "NO-ID"}, "which is no changes topic of this installation"),
        ({"value": b"x" * 1_000_001}, "its value has more than 1000000 bytes"),
    ],
)
def test_what_no_changes_topic_takes_is_told_and_left(letters, letter, sentence):
    put = letters.put(**letter)
    ended = letters.run("replay", put.id)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert sentence in ended.stderr
    assert letters.ids() == [put.id]


def test_a_record_that_is_none_of_ours_is_listed_and_not_replayed(letters):
    sent = produce_and_wait(
        letters._producer, letters.topics.dead_letters, b"x", None, headers=[("mainstem-stage", b"x")]
    )
    ended = letters.run("replay", f"{sent.partition}/{sent.offset}")
    assert ended.exit_code == 1
    assert "headers do not say where it came from" in ended.stderr
    assert [row["origin"] for row in letters.listed()] == [None]


HOSTILE = "\x1b]0;owned\x07 \x9b31m \u202egnp.exe [bold]"


@pytest.mark.parametrize("arguments", ["list", "list --json", "show ID", "show ID --json", "replay ID"])
def test_nothing_that_a_terminal_obeys_is_printed(letters, arguments):
    hostile = HOSTILE.encode()
    error = DecodeError(f"bad {HOSTILE}")
    letter = letters.put(key=hostile, value=b"\r" + hostile, error=error, headers=[(HOSTILE, hostile)])
    ended = letters.run(*arguments.replace("ID", letter.id).split(), env={"COLUMNS": "250"})
    assert ended.exit_code == 0
    assert not set(ended.output) & set("\x1b\x07\x9b\u202e\r")
    assert "owned" in ended.output
    assert "[bold]" in ended.output


def test_a_payload_is_shown_by_show_alone(letters):
    letter = letters.put(value=VALUE)
    for arguments in ("list", "list --json", f"replay {letter.id}", "list --all"):
        assert "kan4rie" not in letters.run(*arguments.split()).output
    assert "kan4rie" in letters.run("show", letter.id).stdout
    shown = json.loads(letters.run("show", letter.id, "--json").stdout)
    assert (shown["value"], shown["origin"]["timestamp"]) == (VALUE.decode(), letter.timestamp)


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        ("show 1/999", MainstemError, "there is no dead letter 1/999"),
        ("show 9/0", MainstemError, "there is no dead letter 9/0"),
        ("show pay", ConfigError, "'pay' is no dead letter: it is named by partition and offset, as in 3/42"),
        ("replay", ConfigError, "nothing to replay: name dead letters"),
        ("discard", ConfigError, "nothing to discard: name dead letters"),
        ("replay 1/0 --stage decode", ConfigError, "not both at once"),
        ("list --since yesterday", ConfigError, "--since: 30m, 24h, 7d ago"),
        (
            "list --stage foo",
            ConfigError,
            "--stage foo: there is no such stage; stages: decode, merge, sink:NAME, valid",
        ),
        ("list --stage decod", ConfigError, "--stage decod: there is no such stage; did you mean decode?"),
        ("list --stage sink:", ConfigError, "--stage sink:: there is no such stage"),
        ("list --connector A", ConfigError, "--connector A: a connector id is"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(letters, arguments, kind, sentence):
    letters.put()
    ended = letters.run(*arguments.split())
    assert isinstance(ended.exception, kind)
    assert sentence in str(ended.exception)


def test_a_database_without_the_table_says_what_to_do(kafka, database, tmp_path):
    letters = Letters(kafka, database, tmp_path)
    letters.put()
    ended = letters.run("list")
    assert isinstance(ended.exception, UnavailableError)
    assert str(ended.exception).endswith("run `mainstem db migrate`")


def test_thousands_are_read_in_order_a_batch_at_a_time(letters):
    ours = dead_letter_headers(
        DecodeError("bad"), stage="decode", origin=f"{letters.topics.changes('git')}/0/0", timestamp=now(), attempts=1
    )
    for number in range(2_500):
        letters._producer.produce(letters.topics.dead_letters, b"{", b"%d" % number, headers=ours, partition=number % 2)
    assert not letters._producer.flush(30)
    assert letters.ids() == [f"{partition}/{offset}" for partition in range(2) for offset in range(1_250)]
    assert letters.run("discard", "--stage", "decode", "--yes").stdout.count("discarded") == 2_500
    assert letters.ids() == []
