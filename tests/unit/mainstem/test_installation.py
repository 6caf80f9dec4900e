"""What the edge hands down, and what it must not show."""

from datetime import timedelta

import pytest

from mainstem.configuration.connector import ConnectorConfig
from mainstem.installation import write_json
from mainstem.roles.connectors import _rest_seconds
from schemas.refs import EntityRef


def test_what_may_hold_a_password_is_readable_for_its_owner_alone(tmp_path):
    write_json(tmp_path / "up.json", {"postgres": "postgresql://u:secret@db/x"})
    assert (tmp_path / "up.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 1800), ("10m", 300), ("24h", 1800)])
def test_a_connector_rests_no_longer_than_half_a_life(ttl, seconds):
    connector = ConnectorConfig(connector_id="git", type="git", ttl=ttl)
    assert timedelta(seconds=_rest_seconds(connector)) == timedelta(seconds=seconds)


def test_a_letter_that_is_ascii_only_in_lower_case_is_refused():
    with pytest.raises(ValueError, match="no other letters"):
        EntityRef.parse("component:default/pa\u212a")
