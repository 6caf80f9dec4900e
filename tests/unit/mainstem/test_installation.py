"""What the edge hands down, and what it must not show."""

import pytest

from mainstem.installation import write_json
from schemas.refs import EntityRef


def test_what_may_hold_a_password_is_readable_for_its_owner_alone(tmp_path):
    write_json(tmp_path / "up.json", {"postgres": "postgresql://u:secret@db/x"})
    assert (tmp_path / "up.json").stat().st_mode & 0o077 == 0


def test_a_letter_that_is_ascii_only_in_lower_case_is_refused():
    with pytest.raises(ValueError, match="no other letters"):
        EntityRef.parse("component:default/pa\u212a")
