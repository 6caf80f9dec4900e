"""What `mainstem config check` says beside what makes a configuration unusable."""

import pytest
from typer.testing import CliRunner

from mainstem.cli import app


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
