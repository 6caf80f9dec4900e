"""What the page about sources says, done word for word in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.running import run

PAGE = Path(__file__).parents[2] / "docs/how-to/write-a-source.md"
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder that holds what the page says, and a `site` where the package is installed."""
    folder = tmp_path_factory.mktemp("written")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    languages = [language for language, _ in blocks]
    texts = {language: [text for each, text in blocks if each == language] for language in languages}
    contents = [texts["toml"][0], *texts["python"], texts["yml"][0]]
    for name, text in zip(texts[""][0].split(), contents, strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    command = [UV, "pip", "install", "--no-deps", "--python", sys.executable, "--target", folder / "site", folder]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    return folder


def beside(folder):
    return {"PYTHONPATH": str(folder / "site"), "DESK_TOKEN": "canary-token"}


def test_its_test_passes(folder):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, folder / "tests"]
    ended = subprocess.run(
        command, cwd=folder, env={**os.environ, **beside(folder)}, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stdout
    assert "10 passed" in ended.stdout


def test_its_configuration_can_be_used(folder):
    checked = run("config", "check", cwd=folder, environment=beside(folder))

    assert (checked.returncode, checked.stderr) == (0, "")
