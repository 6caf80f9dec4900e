"""`mainstem demo` as a reader starts it: in a process of its own, its output in a pipe."""

import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from schemas.errors import ConfigError
from tests.patience import ended, eventually, granted, timely

DEMO = [sys.executable, "-m", "mainstem", "demo"]
STEPS = [
    r"^1  Start: Kafka, Postgres",
    r"^2  Files: connector git \(priority 50\) publishes \d+ entities",
    r"^3  Three connectors on the same services",
    r"^ +/service/tier +tier\d +incident-tool",
    r"^4  The incident tool falls silent",
    r"fell back by themselves, ours [01]\.\d\d s after the deadline",
    r"^ +/service/tier +\(gone\) +nobody +incident-tool",
    r"^5  team-payments deletes two",
    r"^ +/service/slackChannel +\(gone\) +nobody +team-payments",
    r"a tombstone in Kafka, deleted_at in Postgres, 404",
    r"^6  What incident tools heard",
    r"^ +service\.updated +created +\d+ +everything",
    r"^ +service\.updated +updated +\d+ +/metadata/description",
    r"^7  The row in Postgres",
]
OWN = """\
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: tides}
spec: {owner: harbour}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: Tide-Table, description: When the water comes., tags: [sea]}
spec: {type: service, lifecycle: production, owner: harbour, system: tides, dependsOn: [component:moon]}
"""


@timely
def test_once_tells_and_checks_every_step_and_leaves_nothing(tmp_path):
    done = subprocess.run([*DEMO, "--once"], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout}{done.stderr}"
    assert "\x1b" not in done.stdout
    assert_in_order(done.stdout, [*STEPS, "^All steps were as promised"])
    assert list(tmp_path.iterdir()) == []


@timely
def test_with_a_catalogue_of_ones_own_it_stays_and_its_commands_work_as_printed(tmp_path):
    (tmp_path / "own").mkdir(exist_ok=True)
    (tmp_path / "own" / "catalog-info.yaml").write_text(OWN, encoding="utf-8")
    # A reader's own configuration must not lead the printed commands elsewhere.
    (tmp_path / "mainstem.yaml").write_text("kafka: {bootstrap_servers: 127.0.0.1:1}\n", encoding="utf-8")
    with running([*DEMO, "--catalog", "own"], tmp_path) as demo:
        told = "".join(iter_until(demo.stdout, "Ctrl-C ends it."))
        team, tool, get, curl, delete = printed_commands(told)
        answers = [run(command, tmp_path) for command in (team, tool, get)]
        eventually(lambda: speaks_of_tier(tool, curl, tmp_path), pause=1)
        answers.append(run(delete, tmp_path))
        began = granted()
        demo.send_signal(signal.SIGINT)
        code = ended(demo, 30)
        seconds = granted() - began
    assert_in_order(told, [*STEPS, r"^Everything goes on running"])
    assert "component:default/tide-table" in told
    assert code == 0
    assert seconds < 15
    assert_in_order(answers[0], [r"^\S+team-payments\.json:1 component:default/tide-table partition \d offset \d+"])
    assert_in_order(answers[3], [r"^--delete component:default/tide-table partition"])


@pytest.mark.parametrize("catalog", ["nowhere", "empty"])
def test_a_catalogue_without_entities_is_refused_in_a_sentence(tmp_path, catalog):
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [*DEMO, "--once", "--catalog", catalog], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (ConfigError.exit_code, "", 1)


@contextmanager
def running(command, directory):
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def assert_in_order(text, patterns):
    place = 0
    for pattern in patterns:
        found = re.compile(pattern, re.MULTILINE).search(text, place)
        assert found, f"{pattern} is not in:\n{text[place:]}"
        place = found.end()


def iter_until(lines, last):
    for line in lines:
        yield line
        if line.startswith(last):
            return


def speaks_of_tier(tool, curl, directory):
    """Whether the tier is the incident tool's. Where not, have it speak again: its word holds for 15 s, which a machine
    that stands still may need for one command.
    """
    if json.loads(run(curl, directory))["provenance"].get("/service/tier") == "incident-tool":
        return True
    run(tool, directory)
    return False


def printed_commands(told):
    after = told.partition("Everything goes on running")[2]
    return [line.strip() for line in after.splitlines() if line.startswith("   ") and not line.strip().startswith("#")]


def run(command, directory):
    """Run a command as a shell would."""
    done = subprocess.run(command, shell=True, cwd=directory, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout
