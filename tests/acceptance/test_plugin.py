"""A third party's package: installed beside Mainstem, proven by its own tests, run without touching our files."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.errors import ConfigError
from tests.acceptance.running import Up, run
from tests.patience import eventually
from tests.source_server import SourceServer, as_json, source_server

PLUGIN = Path(__file__).parents[1] / "plugin"
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the package installed in `site`, and its tests outside of any checkout."""
    home = tmp_path_factory.mktemp("theirs")
    shutil.copytree(PLUGIN, home / "source")
    installed = subprocess.run(
        [UV, "pip", "install", "--no-deps", "--python", sys.executable, "--target", home / "site", home / "source"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr
    return home


def beside(home: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(home / "site")}


@pytest.fixture(scope="module")
def desk() -> Iterator[SourceServer]:
    service = {"name": "desk-pay", "owner": "team-pay", "tier": "tier1"}
    with source_server() as server:
        server.serve("/services", lambda _: as_json({"services": [service], "more": False, "total": 1}))
        yield server


@pytest.fixture(scope="module")
def up(home: Path, desk: SourceServer) -> Iterator[Up]:
    auth = {"type": "bearer_token", "secret_ref": "env:DESK_TOKEN"}
    config = {
        "connectors": [
            {"connector_id": "git", "type": "external"},
            {"connector_id": "cmdb", "type": "external"},
            {"connector_id": "desk", "type": "theirs", "connection": {"base_url": desk.url, "auth": auth}},
        ],
        "merge": {"rules": [{"path": "/metadata/description", "strategy": "shortest"}]},
        "sinks": {"theirs": {"path": str(home / "owners.db")}, "incidents": {"enabled": False}},
    }
    installation = Up(config, environment={**beside(home), "DESK_TOKEN": "canary-token"})
    try:
        yield installation.start()
        installation.stop()
    finally:
        installation.close()


def test_their_own_tests_pass_with_the_shipped_kits(home):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", "tests"]
    ended = subprocess.run(
        command,
        cwd=home / "source",
        env={**os.environ, **beside(home)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout
    assert " passed" in ended.stdout


def test_without_the_package_its_sink_is_named_as_missing(home, tmp_path):
    (tmp_path / "mainstem.yaml").write_text(f"sinks: {{theirs: {{path: {home}/owners.db}}}}\n")

    alone = run("config", "check", cwd=tmp_path)
    together = run("config", "check", cwd=tmp_path, environment={**beside(home), "DESK_TOKEN": "canary-token"})

    assert (alone.returncode, together.returncode, together.stderr) == (ConfigError.exit_code, 0, "")
    assert "theirs" in alone.stderr


def test_their_sink_runs_like_a_built_in_one(up, home):
    send = up.sender()
    component = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "pay"}}
    send("git", {"entity": {**component, "spec": {"owner": "team-pay"}}}, b"component:default/pay")

    eventually(lambda: owners(home).get("component:default/pay") == ("team-pay", 0), said=up.tail)
    send("git", {"op": "delete", "entityRef": "component:default/pay"}, b"component:default/pay")
    eventually(lambda: owners(home).get("component:default/pay") == (None, 1), said=up.tail)


def test_their_source_runs_like_a_built_in_one(up, desk):
    def found():
        row = up.entities().get("component:default/desk-pay")
        return row and (row["entity"]["spec"]["owner"], row["service"]["tier"], row["provenance"]["/service/tier"])

    assert eventually(lambda: found() == ("team-pay", "tier1", "desk"), said=up.tail)
    assert desk.asked[0].headers["authorization"] == "Bearer canary-token"
    assert "canary-token" not in up.tail()


def test_a_rule_merges_with_their_strategy(up):
    # Without the rule the description of cmdb would win: of two of one priority, the first by name.
    send = up.sender()
    for connector, told in (("cmdb", "Takes the money"), ("git", "Money")):
        metadata = {"name": "till", "description": told}
        component = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata}
        send(connector, {"entity": component}, b"component:default/till")

    def described():
        row = up.entities().get("component:default/till")
        return row and (row["entity"]["metadata"]["description"], row["provenance"]["/metadata/description"])

    assert eventually(lambda: described() == ("Money", "git"), said=up.tail)


def owners(home: Path) -> dict[str, tuple[str | None, int]]:
    if not (home / "owners.db").exists():
        return {}
    with closing(sqlite3.connect(home / "owners.db")) as database:
        return {
            ref: (owner, gone) for ref, owner, gone in database.execute("SELECT entity_ref, owner, gone FROM owners")
        }
