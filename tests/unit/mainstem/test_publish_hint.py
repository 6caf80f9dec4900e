"""What `mainstem publish` says of a document that it refuses. Nothing is sent here."""

import pytest
from typer.testing import CliRunner

from mainstem.cli import app

PART = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: pay}\n"
HINT = "--partial takes it as a part, of which others bring the rest"


def _refused(text, *options):
    arguments = ["publish", "--connector", "team-pay", "--dry-run", *options, "-"]
    return CliRunner().invoke(app, arguments, input=text)


def test_of_a_part_it_says_how_it_would_be_taken():
    ended = _refused(PART)
    assert (ended.exit_code, ended.stderr) == (1, f"-:1: /entity/spec: is required; {HINT}\n")
    assert _refused(PART, "--partial").exit_code == 0


@pytest.mark.parametrize("options", [(), ("--partial",)])
def test_of_what_no_option_mends_it_says_no_such_thing(options):
    ended = _refused(PART.replace("pay}", "pay, tags: 3}"), *options)
    assert (ended.exit_code, HINT in ended.stderr) == (1, False)
