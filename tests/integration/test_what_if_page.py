"""Every question on the page about what would differ is asked, and answered as the page says."""

import re
import subprocess
from pathlib import Path

import orjson
import pytest

from tests.integration.test_what_if import api, dsn

assert api is not None
assert dsn is not None
PAGE = (Path(__file__).parents[2] / "docs/how-to/what-if.md").read_text()
PAIRS = re.findall(r"^```bash\n(.*?)^```\n\n```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("questions", "answers"), PAIRS)
def test_a_question_of_the_page_is_answered_as_the_page_says(api, questions, answers):
    asked = questions.replace("localhost:8080", str(api.base_url).removeprefix("http://").rstrip("/"))
    told = [subprocess.check_output(["bash", "-c", line]) for line in asked.splitlines()]
    expected = [answers] if len(told) == 1 else answers.splitlines()
    assert list(map(orjson.loads, told)) == list(map(orjson.loads, expected))


def test_no_question_of_the_page_is_left_out():
    assert len(PAIRS) == PAGE.count("```bash")
