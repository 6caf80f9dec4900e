"""What the edge hands down, and what it must not show."""

from datetime import timedelta

import pytest

from mainstem.configuration.connector import ConnectorConfig
from mainstem.installation import Installation, write_json
from mainstem.roles.connectors import _rest_seconds, runnable
from schemas.refs import EntityRef


def test_what_may_hold_a_password_is_readable_for_its_owner_alone(tmp_path):
    write_json(tmp_path / "up.json", {"postgres": "postgresql://u:secret@db/x"})
    assert (tmp_path / "up.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 1800), ("10m", 300), ("24h", 1800)])
def test_a_connector_rests_no_longer_than_half_a_life(ttl, seconds):
    connector = ConnectorConfig(connector_id="git", type="git", ttl=ttl)
    assert timedelta(seconds=_rest_seconds(connector)) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("type_name", "incremental", "size"),
    [("git", "{}", 50), ("backstage", "{}", 500), ("backstage", "{chunk_size: 50}", 50)],
)
def test_a_page_is_as_large_as_configured_or_else_as_its_type_says(tmp_path, type_name, incremental, size):
    connection = "{path: .}" if type_name == "git" else "{base_url: 'https://backstage.acme.com'}"
    file = tmp_path / "mainstem.yaml"
    file.write_text(
        f"connectors: [{{connector_id: a, type: {type_name}, connection: {connection}, incremental: {incremental}}}]"
    )
    (connector,) = runnable(Installation.open(file, tmp_path))
    assert connector.source.settings.chunk_size == size


def test_a_letter_that_is_ascii_only_in_lower_case_is_refused():
    with pytest.raises(ValueError, match="no other letters"):
        EntityRef.parse("component:default/pa\u212a")
