"""Connectors from outside: a directory that changes, the guard, and steering from the command line."""

import json

import pytest

from tests.acceptance.running import Up
from tests.patience import eventually

COUNT = 30


def _descriptor(name, owner="team-pay"):
    return (
        "apiVersion: backstage.io/v1alpha1\nkind: Component\n"
        f"metadata: {{name: {name}}}\nspec: {{type: service, lifecycle: production, owner: {owner}}}\n"
    )


@pytest.fixture(scope="module")
def up():
    """Yield an installation with a directory of thirty components, and a connector whose changes others publish."""
    up = Up(
        {
            "connectors": [
                {
                    "connector_id": "files",
                    "type": "git",
                    "connection": {"path": "files"},
                    "deletion_guard": {"max_count": 3, "max_percent": 10},
                },
                {"connector_id": "team", "type": "external"},
            ]
        }
    )
    (up.home / "files").mkdir()
    for number in range(COUNT):
        _path(up, number).write_text(_descriptor(f"f-{number:02}"))
    try:
        yield up.start()
        up.stop()
    finally:
        up.close()


def _path(up, number):
    return up.home / "files" / f"f-{number:02}.yaml"


def _ref(number):
    return f"component:default/f-{number:02}"


def _status(up, connector="files"):
    ended = up.run("connectors", "status", connector, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def _synced(up):
    ended = up.run("connectors", "sync", "files", "--wait")
    assert ended.returncode == 0, ended.stderr


def test_a_file_that_changes_is_published_and_one_that_is_gone_is_deleted(up):
    _path(up, 0).write_text(_descriptor("f-00", owner="team-checkout"))
    _path(up, 1).unlink()
    before = json.loads(up.run("connectors", "diff", "files", "--json").stdout)
    _synced(up)
    eventually(lambda: up.entity(_ref(0))["entity"]["spec"]["owner"] == "team-checkout", 30, up.tail)
    up.entity(_ref(1), gone=True, seconds=30)
    assert (before["changed"], before["deleted"], _status(up)["entities"]) == ([_ref(0)], [_ref(1)], COUNT - 1)


def test_what_the_guard_holds_waits_over_a_restart_until_somebody_approves(up):
    for number in range(10, 14):
        _path(up, number).unlink()
    _synced(up)
    held = _status(up)
    up.stop()
    up.start()
    still = _status(up)
    there = up.entity(_ref(10))["deleted_at"]
    approved = up.run("connectors", "approve", "files", "--yes")
    up.entity(_ref(13), gone=True, seconds=30)
    assert (held["held_deletions"], still["held_deletions"], there, approved.returncode) == (4, 4, None, 0)


def test_forget_deletes_all_that_a_connector_said_and_nothing_else(up):
    published = up.run("publish", "--connector", "team", "-", input=_descriptor("only-team"))
    shared = up.run("publish", "--connector", "team", "-", input=_descriptor("f-20", owner="team-shop"))
    assert (published.returncode, shared.returncode) == (0, 0)
    up.entity("component:default/only-team", seconds=30)
    of_team = "SELECT FROM entity_records WHERE data_source = 'team' AND entity_ref = %(ref)s"
    eventually(lambda: up.rows(of_team, ref=_ref(20)), 30, up.tail)
    ended = up.run("connectors", "forget", "team", "--json")
    up.entity("component:default/only-team", gone=True, seconds=30)
    told = json.loads(ended.stdout)
    assert (told, up.entity(_ref(20))["deleted_at"]) == ({"connector_id": "team", "deleted": 2}, None)
