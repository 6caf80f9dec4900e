"""What `--help` says in a terminal of 80 columns."""

import inspect
import re
from importlib.metadata import version

import pytest
import typer.main
from typer.testing import CliRunner

from mainstem.cli import app


def _commands(command, path=()):
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name, each in inner.items():
        yield from _commands(each, (*path, name))


COMMANDS = dict(_commands(typer.main.get_command(app)))


def _help(name):
    return CliRunner().invoke(app, [*name.split(), "--help"], terminal_width=80).stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_stand_as_they_were_written(name):
    written = inspect.cleandoc(COMMANDS[name].help).partition("\nExample")[2].splitlines()[1:]
    shown = [line.removeprefix("  ") for line in _help(name).splitlines()]
    assert [line for line in written if line not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_asked_for_has_a_name_and_no_python_type(name):
    assert re.findall(r"<(?:str|int|path|list)\S*>|\{[A-Z]+\}|\]\.\.\.\]", _help(name)) == []


def test_the_version_is_told():
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.stdout) == (0, f"mainstem {version('mainstem')}\n")
