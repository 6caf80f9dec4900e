"""Command lines that are written down somewhere, read by the command line itself and not run."""

from collections.abc import Sequence
from typing import Any

import typer.main

from mainstem.cli import app


def read_arguments(arguments: Sequence[str]) -> dict[str, Any]:
    """Return what `mainstem ARGUMENTS…` would be called with. Raises what the command line would refuse it with."""
    command: Any = typer.main.get_command(app)
    name, rest = "mainstem", list(arguments)
    while hasattr(command, "commands"):
        if not rest or rest[0] not in command.commands:
            raise ValueError(f"{name} has no command {rest[:1]}; it has {sorted(command.commands)}")
        name = rest.pop(0)
        command = command.commands[name]
    parameters: dict[str, Any] = command.make_context(name, rest).params
    return parameters


def roles() -> set[str]:
    """Return the groups that have a command `run`: each is a role."""
    command: Any = typer.main.get_command(app)
    return {name for name, found in command.commands.items() if "run" in getattr(found, "commands", {})}
