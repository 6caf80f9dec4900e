"""How `--help` is laid out: examples stand as they were written, and a name is followed by no type."""

import inspect
import re
from collections.abc import Callable
from typing import Any, Final

import typer
from typer.core import TyperArgument, TyperCommand

_EXAMPLES: Final = re.compile(r"^(?=Examples?:)", re.MULTILINE)
_AS_WRITTEN: Final = "\b\n"
"""Before a paragraph, it tells click to leave its lines alone."""


class Command(TyperCommand):
    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        del ctx
        text = _EXAMPLES.sub(_AS_WRITTEN, inspect.cleandoc(self.help or ""))
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        told: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if record is None:
                continue
            if isinstance(each, TyperArgument):
                told["Arguments"].append((each.display_name_raw, record[1]))
            else:
                told["Options"].append(record)
        for title, records in told.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class Commands(typer.Typer):
    """A group whose commands are laid out in this way."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        return super().command(name, **{"cls": Command, **options})
