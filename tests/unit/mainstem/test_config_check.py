"""What `mainstem config check` says beside what makes a configuration unusable."""

import pytest
from typer.testing import CliRunner

from mainstem.cli import app
from schemas.errors import ConfigError


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Return a function that checks *yaml*, and gives what was said on standard output and on standard error."""

    def check(yaml):
        (tmp_path / "mainstem.yaml").write_text(yaml)
        monkeypatch.chdir(tmp_path)
        ended = CliRunner().invoke(app, ["config", "check"])
        assert ended.exit_code == 0
        return ended.stdout, ended.stderr

    return check


GIT = "connectors: [{connector_id: git, type: git, enabled: %s, connection: {path: ./catalog}}]\n"


def test_a_directory_that_is_not_there_is_told(checked, tmp_path):
    said = checked(GIT % "true")
    place = "mainstem.yaml: connectors[0].connection.path"
    warning = f"mainstem: warning: {place}: there is no directory {tmp_path / 'catalog'}\n"
    assert said == ("mainstem.yaml: right; 1 connector\n", warning)


@pytest.mark.parametrize("is_enabled", ["true", "false"])
def test_a_directory_that_is_there_or_not_asked_for_is_not_told(checked, tmp_path, is_enabled):
    if is_enabled == "true":
        (tmp_path / "catalog").mkdir()
    assert checked(GIT % is_enabled)[1] == ""


def test_a_secret_that_is_not_there_is_told_and_may_be_where_the_connector_runs(checked):
    auth = "{type: bearer_token, secret_ref: 'env:NO_SUCH_TOKEN'}"
    source = f"{{connector_id: b, type: backstage, connection: {{base_url: 'http://b.acme.com', auth: {auth}}}}}"
    place = "mainstem.yaml: connectors[0].connection.auth.secret_ref"
    warning = f"mainstem: warning: {place}: the variable NO_SUCH_TOKEN is not set or empty; set it\n"
    assert checked(f"connectors: [{source}]\n") == ("mainstem.yaml: right; 1 connector\n", warning)


def test_all_mistakes_of_a_connector_are_told_at_once(tmp_path, monkeypatch):
    (tmp_path / "connectors.d").mkdir()
    (tmp_path / "connectors.d" / "b.yaml").write_text(
        "{connector_id: b, type: backstage, priorty: 3, ttl: soon, filters: ['spec.lifecycle !!'],"
        " connection: {base_ur: 'http://b.acme.com'}}"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        CliRunner().invoke(app, ["config", "check"], catch_exceptions=False)
    assert str(refused.value).splitlines() == [
        "connectors.d/b.yaml: ttl: a duration is seconds or 90s, 15m, 24h, 7d",
        "connectors.d/b.yaml: priorty: unknown key; did you mean priority?",
        "connectors.d/b.yaml: filters[0]: character 16 of the expression is not expected there",
        "connectors.d/b.yaml: connection.base_ur: unknown key; known are auth, base_url",
    ]


def test_of_two_connectors_of_one_id_no_fault_is_told_at_the_place_of_the_other(tmp_path, monkeypatch):
    (tmp_path / "mainstem.yaml").write_text(
        "connectors: [{connector_id: a, type: git}, {connector_id: a, type: external}]\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        CliRunner().invoke(app, ["config", "check"], catch_exceptions=False)
    same = "the same id stands at mainstem.yaml: connectors[0].connector_id; rename one of them"
    assert str(refused.value).splitlines() == [
        f"mainstem.yaml: connectors[1].connector_id: {same}",
        "mainstem.yaml: connectors[0].connection.path: must name a directory, or connection.url a repository",
    ]


@pytest.mark.parametrize(
    ("connection", "fault"),
    [
        ("", ".path: must name a directory, or connection.url a repository"),
        (", connection: {url: 'https://git.acme.com/a', path: b}", ": has path or url, not both"),
        (", connection: {path: a, documents: [3]}", ".documents[0]: must be an object with files and entity"),
    ],
)
def test_a_connection_that_cannot_be_used_is_told_with_its_file_and_key(tmp_path, monkeypatch, connection, fault):
    (tmp_path / "mainstem.yaml").write_text(f"connectors: [{{connector_id: git, type: git{connection}}}]\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        CliRunner().invoke(app, ["config", "check"], catch_exceptions=False)
    assert str(refused.value) == f"mainstem.yaml: connectors[0].connection{fault}"


def test_where_there_is_no_file_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["config", "check"])
    assert (ended.exit_code, ended.stdout) == (0, "there is no mainstem.yaml: the defaults hold; 0 connectors\n")
