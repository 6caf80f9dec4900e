"""The code in the how-to pages is code that runs: word for word the files that other tests run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLUGIN = ROOT / "tests/plugin"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```(?:python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("page", "files"),
    [("write-a-sink.md", ["theirs/sink.py", "pyproject.toml", "tests/test_sink.py"])],
)
def test_the_package_in_the_page_is_the_one_that_is_installed_and_run(page, files):
    written = FENCE.findall((ROOT / "docs/how-to" / page).read_text())

    assert written == [(PLUGIN / file).read_text() for file in files]


def test_the_source_in_the_page_is_the_one_that_is_installed_and_run():
    written = PYTHON.findall((ROOT / "docs/how-to/write-a-source.md").read_text())

    assert written == [(PLUGIN / file).read_text() for file in ("theirs/source.py", "tests/test_source.py")]
