"""What the edge hands down, and what it must not show."""

import os

import pytest

from mainstem.commands.options import opened
from mainstem.installation import write_json
from schemas.errors import ConfigError
from schemas.refs import EntityRef


def test_what_may_hold_a_password_is_readable_for_its_owner_alone(tmp_path):
    write_json(tmp_path / "up.json", {"postgres": "postgresql://u:secret@db/x"})
    assert (tmp_path / "up.json").stat().st_mode & 0o077 == 0


def test_a_letter_that_is_ascii_only_in_lower_case_is_refused():
    with pytest.raises(ValueError, match="no other letters"):
        EntityRef.parse("component:default/pa\u212a")


def _beside_up(tmp_path, monkeypatch, config, *, pid=None):
    """Stand in an empty directory, beside an `up` that began with *config*; return its data directory."""
    here, data_dir = tmp_path / "here", tmp_path / "d"
    for each in (here, data_dir / "config"):
        each.mkdir(parents=True)
    kept = data_dir / "config" / "mainstem.yaml"
    kept.write_text(config)
    facts = {"pid": pid or os.getpid(), "kafka": "k:1", "postgres": "dbname=x", "api": None}
    write_json(data_dir / "up.json", facts | {"config": str(kept), "base_dir": str(tmp_path / "there")})
    monkeypatch.chdir(here)
    return data_dir


def test_a_command_beside_up_goes_by_the_configuration_with_which_that_began(tmp_path, monkeypatch):
    data_dir = _beside_up(tmp_path, monkeypatch, "topics: {prefix: theirs}")
    found = opened(None, data_dir)
    config = found.config
    assert (config.topics.prefix, config.origin.base_dir, found.running.kafka) == ("theirs", tmp_path / "there", "k:1")


@pytest.mark.parametrize("name", ["mainstem.yaml", "connectors.d/pay.yaml"])
def test_what_is_written_here_counts_before_what_up_began_with(tmp_path, monkeypatch, name):
    data_dir = _beside_up(tmp_path, monkeypatch, "topics: {prefix: theirs}")
    (tmp_path / "here" / "connectors.d").mkdir()
    text = "topics: {prefix: mainstem}" if name == "mainstem.yaml" else "{connector_id: pay, type: external}"
    (tmp_path / "here" / name).write_text(text)
    assert opened(None, data_dir).config.topics.prefix == "mainstem"


def test_an_up_that_was_killed_counts_for_nothing(tmp_path, monkeypatch):
    data_dir = _beside_up(tmp_path, monkeypatch, "topics: {prefix: theirs}", pid=2**22 + 1)
    assert opened(None, data_dir).config.topics.prefix == "mainstem"


def test_what_up_was_given_and_a_command_beside_it_is_not_is_told_with_the_remedy(tmp_path, monkeypatch):
    data_dir = _beside_up(tmp_path, monkeypatch, "api: {token: '${NEVER_SET}'}")
    with pytest.raises(ConfigError, match=r"NEVER_SET.*\n.*with which the `up` of .* began: set here what was set"):
        opened(None, data_dir)
