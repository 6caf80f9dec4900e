"""`mainstem connectors` on rows as a runner leaves them."""

import json
import os
import threading
import time
import uuid
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from mainstem.cli import app
from mainstem.cluster import Cluster
from schemas.changes import read_change
from schemas.codec import decode_change
from schemas.errors import (
    ConfigError,
    ConflictError,
    SourceError,
    TopicMismatchError,
    UnavailableError,
    UnknownNameError,
)
from schemas.topics import Topics
from tests.acceptance.running import write_config
from tests.integration.connector_rows import Rows, emptied, migrated
from tests.integration.kill.kafka_io import read_all
from tests.integration.test_outages import origin_of
from tests.patience import eventually

LONG = "a-connector-whose-name-is-as-long-as-names-of-connectors-can-be"


class Installed:
    """An installation without runners; *run* is its command line."""

    def __init__(self, dsn, home, kafka="127.0.0.1:1", prefix="mainstem"):
        connectors = [{"connector_id": "git", "type": "git", "connection": {"path": "."}}]
        connectors += [{"connector_id": each, "type": "external"} for each in ("team", LONG)]
        settings = {
            "kafka": {"bootstrap_servers": kafka},
            "postgres": {"dsn": dsn},
            "topics": {"prefix": prefix, "partitions": 3, "replication_factor": 1},
            "connectors": connectors,
        }
        self.options = ["--config", str(write_config(home / "mainstem.yaml", settings)), "--data-dir", str(home)]
        self.rows = Rows(dsn)
        self.dsn, self.home = dsn, home

    def beside_up(self, *connectors, postgres=None):
        """Let an `up` run that began with *connectors*."""
        postgres = self.dsn if postgres is None else postgres
        facts = {"pid": os.getpid(), "kafka": "k:1", "postgres": postgres, "connectors": connectors}
        (self.home / "up.json").write_text(json.dumps(facts))

    def run(self, *arguments, **options):
        """Run `mainstem connectors`; raise what it raises."""
        found = CliRunner().invoke(app, ["connectors", *arguments, *self.options], **options)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return SimpleNamespace(code=found.exit_code, out=found.stdout, err=found.stderr)

    def told(self, *arguments):
        """Return what a command answers as JSON."""
        return [json.loads(line) for line in self.run(*arguments, "--json").out.splitlines()]


@pytest.fixture(scope="module")
def shared(postgres):
    with migrated(postgres) as dsn:
        yield dsn


@pytest.fixture
def installed(shared, tmp_path):
    emptied(shared)
    return Installed(shared, tmp_path)


def runner_of(rows, outcome, meanwhile=lambda: None, **columns):
    """Do what a runner does once a run is asked for, in a thread of its own; and *meanwhile*."""

    def work():
        eventually(lambda: (rows.read("requested_at") or (None,))[0], 30, pause=0.05)
        number = rows.begin(entities=3)
        rows.state(requested_at=None)
        time.sleep(0.7)
        meanwhile()
        names = ", ".join(f"{name} = %({name})s" for name in columns)
        rows.do(
            f"UPDATE connector_runs SET outcome = %(outcome)s, ended_at = now(), {names} WHERE run = %(run)s",
            run=number,
            outcome=outcome,
            **columns,
        )

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_connectors_are_listed_as_the_api_answers_them(installed):
    installed.rows.ledger("a", "b")
    installed.rows.state(consecutive_failures=3)
    found = installed.told("list")
    shown = [(each["connector_id"], each["state"], each["entities"]) for each in found]
    assert shown == [(LONG, "idle", 0), ("git", "alert", 2), ("team", "idle", 0)]


def test_the_table_of_connectors_fits_a_terminal_of_80_columns(installed, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    installed.rows.state(last_success_at="2026-01-01T00:00:00Z", next_run_at="2036-01-01T00:00:00Z")
    out = installed.run("list").out
    assert max(map(len, out.splitlines())) <= 80
    (head,) = [line.split() for line in out.splitlines() if "connector" in line and "state" in line]
    assert head == ["connector", "state", "entities", "last", "success", "next", "run", "held"]
    (row,) = [line.split() for line in out.splitlines() if line.strip().startswith("git")]
    assert [row[1], row[2], row[4:6], row[6], row[-1]] == ["resting", "0", ["d", "ago"], "in", "0"]


def test_a_status_shows_the_last_error_without_what_a_terminal_would_obey(installed):
    installed.rows.state(
        consecutive_failures=1,
        last_error_class="SourceError",
        last_error_message="gone \x1b[2J",
        last_error_at="2026-01-01T00:00:00Z",
    )
    out = installed.run("status", "git").out
    assert "backing_off" in out
    assert "last error                 gone \\x1b[2J (" in out
    assert "SourceError" not in out


def test_a_status_shows_what_is_not_as_the_source_has_it(installed):
    installed.rows.run("complete", refused=2)
    installed.rows.ledger("a", "b", "c")
    installed.rows.do("UPDATE ingestion_entity_refs SET kept = entity_ref <> 'component:default/a'")
    lines = [" ".join(line.split()) for line in installed.run("status", "git").out.splitlines()]
    refused = "refused by the newest run 2; `mainstem connectors diff git` names them"
    (told,) = installed.told("status", "git")
    assert (lines[-2:], told["kept"], told["refused"]) == (["kept though gone 2", refused], 2, 2)


@pytest.mark.parametrize("command", ["status", "sync", "pause", "resume", "reset", "approve", "reject"])
def test_a_connector_that_is_not_configured_is_named_beside_those_that_are(installed, command):
    with pytest.raises(UnknownNameError, match=f"nobody is not configured; configured are: {LONG}, git, team"):
        installed.run(command, "nobody")


def test_a_sync_is_asked_for(installed):
    out = installed.run("sync", "git", "--changes").out
    assert (out, (False,)) == ("git: a run was asked for\n", installed.rows.read("requested_full"))


def test_a_sync_is_refused_while_a_run_is_under_way(installed):
    installed.rows.begin()
    with pytest.raises(ConflictError, match="a run of connector git is under way"):
        installed.run("sync", "git")


def test_a_sync_of_what_others_publish_is_refused(installed):
    with pytest.raises(ConflictError, match="others publish its changes"):
        installed.run("sync", "team")


@pytest.mark.parametrize(("outcome", "code"), [("complete", 0), ("partial", 1), ("failed", 1), ("reset", 1)])
def test_who_waits_for_a_run_gets_its_outcome(installed, outcome, code):
    installed.rows.run("complete")
    runner = runner_of(installed.rows, outcome, entities=7, error_class=None if code == 0 else "SourceError")
    found = installed.run("sync", "git", "--wait")
    runner.join()
    assert (code, True, True) == (found.code, outcome in found.out, "7 entities" in found.out)


def test_who_waits_for_a_run_that_fails_is_told_at_once_though_it_goes_on_later(installed):
    def failing():
        eventually(lambda: (installed.rows.read("requested_at") or (None,))[0], 30, pause=0.05)
        installed.rows.begin(entities=3)
        installed.rows.state(
            requested_at=None,
            consecutive_failures=1,
            last_error_class="SourceUnreachableError",
            last_error_message="the host is away",
        )

    runner = threading.Thread(target=failing)
    runner.start()
    found = installed.run("sync", "git", "--wait")
    runner.join()
    assert (found.code, found.out.endswith("; the host is away\n")) == (1, True)
    assert "failed: 3 entities" in found.out


def test_a_run_of_changes_whose_cursor_led_nowhere_is_not_the_answer_however_long_it_took(installed, monkeypatch):
    is_hours_later = threading.Event()
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600 * is_hours_later.is_set())
    monkeypatch.setattr("mainstem.commands.connector_desk.time", clock)
    monkeypatch.setattr("mainstem.commands.connector_desk.POLL_SECONDS", 0.1)
    told = {"mode": "changes", "error_class": "CursorExpiredError"}
    first = runner_of(installed.rows, "failed", is_hours_later.set, **told)

    def following():
        first.join()
        time.sleep(0.7)
        installed.rows.run("complete", entities=7)

    runner = threading.Thread(target=following)
    runner.start()
    found = installed.run("sync", "git", "--changes", "--wait")
    runner.join()
    assert (found.code, "complete: 7 entities" in found.out) == (0, True)


def test_nobody_waits_for_a_connector_that_is_paused(installed):
    installed.rows.state(paused=True)
    with pytest.raises(ConflictError, match="connectors resume git"):
        installed.run("sync", "git", "--wait")
    assert installed.rows.read("requested_at") == (None,)


def test_a_run_that_nobody_begins_is_told_of(installed, monkeypatch, capfd):
    monkeypatch.setattr("mainstem.commands.connector_desk.LONELY_SECONDS", 0.0)
    began = threading.Timer(1.5, lambda: runner_of(installed.rows, "complete", entities=1).join())
    began.start()
    found = installed.run("sync", "git", "--wait")
    began.join()
    assert (found.code, (found.err + capfd.readouterr().err).count("nobody has begun a run of git")) == (0, 1)


def test_nobody_waits_for_ever_for_a_run_that_nobody_begins(installed, monkeypatch):
    monkeypatch.setattr("mainstem.commands.connector_desk.FORSAKEN_SECONDS", 0.0)
    with pytest.raises(UnavailableError, match="nobody began a run of git: start `mainstem connectors run` or `up`"):
        installed.run("sync", "git", "--wait")


@pytest.mark.parametrize("command", [("list",), ("status", "git"), ("sync", "git")])
def test_a_connector_that_the_running_up_does_not_know_is_told_of(installed, command, capfd):
    installed.beside_up("team", LONG)
    told = installed.run(*command).err + capfd.readouterr().err
    assert told.count("does not know connector") == told.count("connector git, ") == 1


@pytest.mark.parametrize("options", [{}, {"postgres": "dbname=another"}])
def test_nothing_is_told_of_what_up_knows_nor_of_another_installations_up(installed, options, capfd):
    installed.beside_up(*((LONG, "git", "team") if not options else ()), **options)
    assert installed.run("list").err + capfd.readouterr().err == ""


def test_pause_resume_and_reset(installed):
    installed.rows.ledger("a")
    run = installed.rows.begin()
    states = [installed.told(verb, "git")[0]["state"] for verb in ("pause", "resume", "reset")]
    ended = installed.rows.one("SELECT outcome FROM connector_runs WHERE run = %(run)s", run=run)
    assert (states, ended) == (["paused", "running", "resting"], ("reset",))


@pytest.mark.parametrize(("verb", "state"), [("approve", "approved"), ("reject", "rejected")])
def test_held_deletions_are_shown_before_they_are_decided_about(installed, verb, state):
    hold_id = installed.rows.hold(*(f"c{number:02}" for number in range(25)), entities=100)
    asked = installed.run(verb, "git", "--yes")
    shown = [line.strip() for line in asked.err.splitlines()]
    assert shown[0].startswith("25 of 100 entities (25.0 %), held ")
    assert shown[0].endswith(", expires in 6 d:")
    assert (shown[1], shown[20], shown[21]) == ("component:default/c00", "component:default/c19", "and 5 more")
    assert asked.out == f"git: 25 held deletions {state}\n"
    assert installed.rows.held_state(hold_id)[0] == state
    assert "@" in installed.rows.held_state(hold_id)[1]


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_nothing_is_decided_without_being_asked_for(installed, verb):
    hold_id = installed.rows.hold("a")
    with pytest.raises(ConfigError, match="add --yes"):
        installed.run(verb, "git")
    assert installed.rows.held_state(hold_id) == ("held", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "git has no held deletions to decide about"), ((str(uuid.UUID(int=1)),), "no held deletions 00000000-")],
)
def test_what_is_not_held_cannot_be_decided_about(installed, arguments, message):
    with pytest.raises(UnknownNameError, match=message):
        installed.run("approve", "git", *arguments, "--yes")


def test_a_decision_is_told_as_json(installed):
    hold_id = installed.rows.hold("a", "b")
    found = installed.told("reject", "git", str(hold_id), "--yes")
    assert found == [{"hold_id": str(hold_id), "state": "rejected", "count": 2}]


def test_a_database_that_is_away_is_told_in_a_sentence(tmp_path):
    with pytest.raises(UnavailableError, match="database nowhere on"):
        Installed(f"host={tmp_path} dbname=nowhere", tmp_path).run("list")


def test_an_outage_and_its_end_are_announced_by_hand(kafka, shared, tmp_path):
    topics = Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=3, replication_factor=1)
    Cluster({"bootstrap.servers": kafka}).create([topics.changes_definition("team")])
    installed = Installed(shared, tmp_path, kafka, topics.prefix)

    told = [installed.told(op, "team")[0] for op in ("outage", "recovered")]

    messages = list(read_all(kafka, topics.changes("team"), 3))
    heard = [read_change(decode_change(each.value()), origin_of(each)) for each in messages]
    assert [(each["op"], each["partitions"]) for each in told] == [("outage", 3), ("recovered", 3)]
    said = [(each["op"], each["observed_at"]) for each in told for _ in range(3)]
    assert said == sorted((each.op, each.observed_at) for each in heard)
    with pytest.raises(TopicMismatchError, match="topics create --connector git"):
        installed.run("outage", "git")
    with pytest.raises(TopicMismatchError, match="did you mean connector git\\?"):
        installed.run("outage", "gitt")


def test_what_others_publish_is_forgotten_and_not_paused(kafka, shared, tmp_path):
    emptied(shared)
    topics = Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=3, replication_factor=1)
    Cluster({"bootstrap.servers": kafka}).create([topics.changes_definition(each) for each in ("team", "git")])
    installed = Installed(shared, tmp_path, kafka, topics.prefix)

    told = [installed.run("forget", each, "--yes").out for each in ("team", "git")]

    assert told == [
        "team: 0 entities deleted; what others publish next counts\n",
        "git: 0 entities deleted; git is paused\n",
    ]
    assert [each["state"] for each in installed.told("list")] == ["idle", "paused", "idle"]


def test_a_diff_that_cannot_read_the_source_says_what_failed_and_what_to_do(kafka, shared, tmp_path):
    installed = Installed(shared, tmp_path, kafka)
    file = tmp_path / "mainstem.yaml"
    file.write_text(file.read_text().replace("path: .", "path: gone"))
    with pytest.raises(SourceError) as told:
        installed.run("diff", "git")
    assert str(told.value) == (
        "the source of connector git could not be read, and a run would fail there too:"
        f" {tmp_path / 'gone'} is not a directory; mend the source or the connector's `connection`, and try again"
    )


@pytest.mark.parametrize("command", ["sync", "approve", "outage", "list"])
def test_every_example_of_the_help_has_a_line_of_its_own(installed, command):
    lines = [line.strip() for line in installed.run(command, "--help").out.splitlines()]
    assert all(line.count("mainstem connectors") == 1 for line in lines if line.startswith("mainstem"))
    assert any(line.startswith(f"mainstem connectors {command}") for line in lines)


def test_a_diff_doubts_what_would_be_without_effect(kafka, shared, tmp_path):
    emptied(shared)
    installed = Installed(shared, tmp_path, kafka)
    shown = installed.run("diff", "git").out.splitlines()
    (told,) = installed.told("diff", "git")
    doubt = "connection: there is no Backstage descriptor in any file"
    assert (told["new"], [each.split(";")[0] for each in told["doubts"]]) == ([], [doubt])
    assert [each.split(";")[0] for each in shown] == ["unchanged: 0, filtered out: 0", f"warning: {doubt}"]


def test_a_connector_to_forget_that_nobody_knows_is_a_slip(kafka, shared, tmp_path):
    installed = Installed(shared, tmp_path, kafka, f"t-{uuid.uuid4().hex[:8]}")
    told = f"there is no connector nope: it is not configured, and has no topic; configured are: {LONG}, git, team"
    with pytest.raises(UnknownNameError, match=told):
        installed.run("forget", "nope", "--yes")
