"""The demo's verification finds what is wrong, and says it."""

import pytest

from mainstem.demo.checks import differences
from mainstem.demo.claims import expected_fields, found_fields
from mainstem.demo.place import prepared
from mainstem.demo.voices import GIT, INCIDENT_TOOL, TEAM
from schemas.errors import ConfigError


def said(description=None, tags=None, **service):
    return {"entity": {"metadata": {"description": description, "tags": tags}}, "service": service}


def test_the_highest_priority_that_has_a_field_is_expected_to_win():
    fields = expected_fields({GIT: said("files"), TEAM: said("team"), INCIDENT_TOOL: said(tier="tier1")})
    assert fields == {"/metadata/description": (TEAM, "team"), "/service/tier": (INCIDENT_TOOL, "tier1")}


def test_whoever_adds_to_a_union_is_expected_among_the_winners():
    fields = expected_fields({GIT: said(tags=["a"]), TEAM: said(tags=["b"]), INCIDENT_TOOL: said(tags=[])})
    assert fields == {"/metadata/tags": ("team-payments, git", None)}


def test_a_merged_entity_is_read_in_the_same_form():
    view = {**said("team", ["a", "b"]), "provenance": {"/metadata/description": TEAM, "/metadata/tags": [TEAM, GIT]}}
    expected = {"/metadata/description": (TEAM, "team"), "/metadata/tags": ("team-payments, git", None)}
    assert expected == found_fields(view)


def test_differences_name_the_place_what_was_expected_and_what_was_found():
    lines = differences("hero", {"Kafka": {"a": 1, "b": 2}}, {"Kafka": {"a": 1, "b": 3}})
    assert list(lines) == ["hero > Kafka > b: expected 2, found 3"]


def test_a_directory_that_is_no_demos_is_left_alone(tmp_path):
    (tmp_path / "precious").touch()
    with pytest.raises(ConfigError, match="name another --data-dir"), prepared(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_what_an_earlier_demo_left_is_removed(tmp_path):
    with prepared(tmp_path) as directory:
        (directory / "kafka").mkdir()
    with prepared(tmp_path) as directory:
        assert not (directory / "kafka").exists()
