"""Keys of `service` that are nearly known ones."""

import json
from pathlib import Path

import pytest

import schemas
from schemas.facts import FACTS, PARTS, slips


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("oncall", "onCall"),
        ("on_call", "onCall"),
        ("dependancies", "dependencies"),
        ("runbook", "runbooks"),
        ("slack_channel", "slackChannel"),
        ("ownerteam", "ownerTeam"),
        ("Tier", "tier"),
        ("teir", "tier"),
        ("descripton", "description"),
    ],
)
def test_a_key_that_is_nearly_a_known_one_is_told(key, meant):
    assert list(slips({key: "x", "email": "pay@acme.com"})) == [(key, meant)]


def test_a_key_within_a_fact_is_told_once():
    said = {
        "onCall": {"userID": "u1", "until": None},
        "dependencies": [{"target": "a", "is_critical": True}, {"target": "b", "is_critical": False}, None],
        "runbooks": {"titel": "Slow"},
    }
    found = [("onCall.userID", "userId"), ("dependencies.is_critical", "isCritical"), ("runbooks.titel", "title")]
    assert list(slips(said)) == found


@pytest.mark.parametrize(
    "service",
    [
        {"costCentre": 7, "owner": "team-pay", "channel": "#pay", "x": None, "": 1},
        {"onCall": {"userId": "u1"}, "oncall": "u1"},
        {**dict.fromkeys(FACTS), **{fact: dict.fromkeys(known) for fact, known in PARTS.items()}},
        {"onCall": "u1", "dependencies": ["oncall"], "runbooks": 3},
        None,
        "oncall",
    ],
)
def test_what_may_be_meant_as_it_is_is_not_told(service):
    assert list(slips(service)) == []


def test_the_known_keys_are_those_of_the_schema_for_publishers():
    file = Path(schemas.__file__).with_name("json") / "change.schema.json"
    stated = json.loads(file.read_text())["$defs"]["service"]["properties"]
    parts = {key: set(stated[key]["items"]["properties"]) for key in ("dependencies", "runbooks")}
    known = {key: set(PARTS[key]) for key in ("dependencies", "runbooks")}
    assert (set(FACTS), known) == (set(stated), parts)
