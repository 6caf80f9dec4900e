"""Text from outside, made harmless for a terminal."""

import unicodedata
from typing import Any, Final

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import measure_renderables
from rich.table import Column, Table
from rich.text import Text

UNBOUNDED: Final = 1_000_000_000
"""Columns of what is no terminal: who searches a pipe for a word finds it in one line."""
_ROOM: Final = 12
"""Columns of the terminal that each column but the first is left: with fewer, it would be a few letters wide."""

_UNSEEN: Final = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's categories of what is no letter, sign or space: control, direction, halves of pairs, line ends."""


def visible(text: str, *, lines: bool = False) -> str:
    """Return *text* with everything that a terminal would obey written as an escape. *lines*: it may have several."""
    kept = "\n\t" if lines else ""
    return "".join(
        char if char in kept or unicodedata.category(char) not in _UNSEEN else char.encode("unicode_escape").decode()
        for char in text
    )


def cell(text: str) -> Text:
    """Return *text* as a cell or title of a table: nothing in it is obeyed, by the terminal or by rich."""
    return Text(visible(text))


def counted(count: int, thing: str) -> str:
    """Return a number of things as people say it: `1 record`, `2 records`, `3 entities`."""
    many = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count} {thing if count == 1 else many}"


def screen() -> Console:
    """Return the output for tables: as wide as its terminal. Where it is none, nothing goes on in the next line."""
    found = Console()
    return found if found.is_terminal else _Pipe(width=UNBOUNDED)


def table(*names: str, **options: Any) -> Table:
    """Return a table whose cells go on in the next line where there is no room: nothing in them is left out.

    The first column, which says what a row is about, is the last to go on so.
    """
    return _Table(*(Column(name, overflow="fold") for name in names), box=box.SIMPLE, **options)


class _Pipe(Console):
    """Ends each line with its last word: a cell may be so long that rows filled up to it were most of the output."""

    def print(self, *objects: Any, **options: Any) -> None:
        with self.capture() as captured:
            super().print(*objects, **options)
        for line in captured.get().splitlines():
            self.file.write(f"{line.rstrip()}\n")


class _Table(Table):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        first = self.columns[0]
        widest = measure_renderables(console, options, [*first.cells]).maximum if self.row_count else 0
        first.no_wrap = widest <= options.max_width - _ROOM * (len(self.columns) - 1)
        yield from super().__rich_console__(console, options)
