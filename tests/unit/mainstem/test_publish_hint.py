"""What `mainstem publish` says of what it refuses. Nothing is sent here."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mainstem.cli import app
from mainstem.commands.publish import MAX_BYTES
from schemas.errors import ConfigError

PART = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: pay}\n"
WHOLE = (
    '{"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "pay"}}, "FIELD": {}}'
)
HINT = "--partial takes it as a part, of which others bring the rest"


def _refused(text, *options):
    arguments = ["publish", "--connector", "team-pay", "--dry-run", *options, "-"]
    return CliRunner().invoke(app, arguments, input=text)


def test_of_a_part_it_says_how_it_would_be_taken():
    ended = _refused(PART)
    assert (ended.exit_code, ended.stderr) == (1, f"-:1: /entity/spec: is required; {HINT}\n")
    assert _refused(PART, "--partial").exit_code == 0


@pytest.mark.parametrize("options", [(), ("--partial",)])
@pytest.mark.parametrize("settings", ["type: git, connection: {path: .}", "type: external, complete: true"])
def test_a_part_is_refused_where_the_processor_would_set_it_aside(tmp_path, monkeypatch, settings, options):
    (tmp_path / "mainstem.yaml").write_text(f"connectors: [{{connector_id: team-pay, {settings}}}]\n")
    monkeypatch.chdir(tmp_path)
    ended = _refused(PART, *options)
    reason = "connector team-pay takes whole entities alone (connectors[].complete), with --partial as well"
    assert (ended.exit_code, ended.stderr.splitlines()[-1]) == (1, f"-:1: /entity/spec: is required; {reason}")


@pytest.mark.parametrize("options", [(), ("--partial",)])
def test_of_what_no_option_mends_it_says_no_such_thing(options):
    ended = _refused(PART.replace("pay}", "pay, tags: 3}"), *options)
    assert (ended.exit_code, HINT in ended.stderr) == (1, False)


@pytest.mark.parametrize("text", ["", "---\n# nothing\n"])
@pytest.mark.parametrize(("file", "name"), [("-", "standard input"), ("empty.yaml", "empty.yaml")])
def test_where_there_is_no_document_it_says_so(tmp_path, monkeypatch, text, file, name):
    monkeypatch.chdir(tmp_path)
    Path("empty.yaml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        CliRunner().invoke(app, ["publish", "--connector", "team-pay", file], input=text, catch_exceptions=False)
    assert str(refused.value) == f"nothing to publish: there is no document in {name}; name files, or --delete REF"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("no.yaml", "No such file or directory"),
        ("/dev/zero", f"holds more than {MAX_BYTES:,} bytes; publish it in parts"),
    ],
)
def test_of_a_file_that_cannot_be_taken_no_line_is_named(file, reason):
    ended = CliRunner().invoke(app, ["publish", "--connector", "team-pay", file])
    assert (ended.exit_code, ended.stderr) == (1, f"{file}: {reason}\n")


def test_who_speaks_for_a_connector_that_runs_is_told_what_becomes_of_it(tmp_path, monkeypatch):
    (tmp_path / "mainstem.yaml").write_text(
        "connectors: [{connector_id: team-pay, type: git, complete: false, connection: {path: .}}]\n"
    )
    monkeypatch.chdir(tmp_path)
    ended = _refused(PART)
    undo = "`mainstem connectors sync team-pay` brings it back"
    warning = f"mainstem: warning: connector team-pay is of type git: this replaces what its runs said; {undo}\n"
    assert (ended.exit_code, ended.stderr) == (0, warning)


def test_a_fact_that_is_nearly_a_known_one_is_told_and_published():
    change = '{"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "pay"}},'
    ended = _refused(change + ' "service": {"oncall": {"userId": "u1"}}}', "--partial")
    warning = "mainstem: warning: -:1: service.oncall is kept as a key of your own; did you mean onCall?\n"
    assert (ended.exit_code, ended.stderr) == (0, warning)


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("servce", "servce is no field of a change; did you mean service?"),
        ("observed_at", "observed_at is no field of a change; did you mean observedAt?"),
    ],
)
def test_a_field_that_is_nearly_one_of_a_change_is_refused_for_it_would_be_published_without(field, reason):
    ended = _refused(WHOLE.replace("FIELD", field), "--partial")
    assert (ended.exit_code, ended.stderr, ended.stdout) == (1, f"-:1: {reason}\n", "")


def test_any_other_field_is_told_and_passed_over():
    ended = _refused(WHOLE.replace("FIELD", "colour"), "--partial")
    fields = "op, entityRef, tenant, entity, service, observedAt, version, generation, ttlSeconds, priority, id"
    warning = f"mainstem: warning: -:1: colour is ignored; the fields of a change are: {fields}\n"
    assert (ended.exit_code, ended.stderr) == (0, warning)


def test_a_field_beside_the_one_that_it_is_nearly_is_passed_over():
    ended = _refused(WHOLE.replace("FIELD", "entitty"), "--partial")
    assert (ended.exit_code, "entitty is ignored" in ended.stderr) == (0, True)
