"""Rules of the configuration at work in a running installation, and `entities explain` about it."""

import json

import pytest

from schemas.errors import ConfigError
from tests.patience import eventually


def widget(name, tier, owner):
    """Return a change as JSON. The facts about *name* are left out when *tier* is None."""
    entity = {"apiVersion": "v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"owner": owner, "size": 1}}
    return json.dumps({"entity": entity, **({"service": {"tier": tier}} if tier else {})})


@pytest.fixture(scope="module")
def told(installation):
    """Yield the installation after two connectors spoke of one widget, and a third said that another is gone."""
    for connector, tier, owner in (("ruled-a", "silver", "team-a"), ("ruled-b", "gold", "team-b")):
        ended = installation.run(
            "publish", "--connector", connector, "--partial", "-", input=widget("ruled", tier, owner)
        )
        assert ended.returncode == 0, ended.stderr
    gone = installation.run("publish", "--connector", "ruled-a", "--delete", "widget:default/gone")
    assert gone.returncode == 0, gone.stderr
    installation.wait_until_merged(["ruled-a", "ruled-b"])
    eventually(lambda: "team-b" in installation.run("entities", "get", "widget:default/ruled").stdout)
    return installation


def explained(told, *arguments):
    ended = told.run("entities", "explain", *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_explain_tells_of_every_field_who_won_who_lost_and_why(told):
    found = explained(told, "Widget:default/Ruled")

    fields = {each.pop("field"): each for each in found["fields"]}
    assert [(each["connector"], each["life"], each["priority"]) for each in found["records"]] == [
        ("ruled-a", "fresh", 60),
        ("ruled-b", "fresh", 50),
    ]
    assert fields["/service/tier"] == {
        "strategy": "rank",
        "value": "gold",
        "winners": ["ruled-b"],
        "losers": [{"connector": "ruled-a", "value": "silver", "reason": "ranks lower"}],
    }
    assert fields["/spec/owner"] == {
        "strategy": "authoritative",
        "value": "team-b",
        "winners": ["ruled-b"],
        "losers": [{"connector": "ruled-a", "value": "team-a", "reason": "not authoritative"}],
    }
    assert fields["/spec/size"] == {
        "strategy": "first_by_priority",
        "value": 1,
        "winners": ["ruled-a"],
        "losers": [{"connector": "ruled-b", "value": 1, "reason": "lower priority"}],
    }


def test_explain_of_one_field_shows_that_field_alone(told):
    assert [each["field"] for each in explained(told, "widget:default/ruled", "--field", "/service")["fields"]] == [
        "/service/tier"
    ]


def test_what_is_explained_is_what_was_published(told):
    published = json.loads(told.run("entities", "get", "widget:default/ruled", "--json").stdout)

    found = {
        each["field"]: each["winners"] for each in explained(told, "widget:default/ruled")["fields"] if "value" in each
    }
    assert found == {at: [won] if isinstance(won, str) else won for at, won in published["provenance"].items()}


def test_explain_is_a_table_for_people(told):
    ended = told.run("entities", "explain", "widget:default/ruled", "--field", "/spec/owner")

    rows = [line.split() for line in ended.stdout.splitlines()]
    assert ["/spec/owner", "authoritative", "ruled-b", "team-b", "won"] in rows
    assert ["ruled-a", "team-a", "lost:", "not", "authoritative"] in rows


def test_what_nobody_vouches_for_is_explained_by_its_records(told):
    found = explained(told, "widget:default/gone")

    assert (found["exists"], found["fields"]) == (False, [])
    assert [(each["connector"], each["life"]) for each in found["records"]] == [("ruled-a", "deleted")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("widget:default/never",),
            "nothing is held about widget:default/never: no connector ever spoke of it, or all is forgotten",
        ),
        (("widget:default/ruled", "--field", "/spec/none"), "no connector says anything about /spec/none of"),
        (("widget:default/ruled", "--field", "spec"), "--field spec: a pointer begins with /, such as /spec/owner"),
        (("nothing",), "nothing: the reference has no kind"),
    ],
)
def test_what_cannot_be_explained_is_told_in_a_sentence(told, arguments, sentence):
    ended = told.run("entities", "explain", *arguments)

    assert (ended.returncode in {1, ConfigError.exit_code}, ended.stdout) == (True, "")
    assert sentence in ended.stderr
