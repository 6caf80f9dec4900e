"""How the demo looks: numbered steps, small tables, and what is waited for."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mainstem.embedded.service import Progress

_PIPE_WIDTH: Final = 120
_INDENT: Final = 3
_VALUE_WIDTH: Final = 58
GONE: Final = "(gone)"


class Screen:
    """Writes the story to standard output; without colours, and line by line, where that is a pipe."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, width=_PIPE_WIDTH)
        self._announced: set[str] = set()

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal

    def title(self, text: str) -> None:
        self._console.print(Text(text, style="bold"))

    def step(self, number: int, text: str) -> None:
        self._console.print(Text.assemble((f"{number}  ", "bold cyan"), (text, "bold")))

    def say(self, text: str, *, style: str = "") -> None:
        self._console.print(Padding(Text(text, style=style), (0, 0, 0, _INDENT), expand=False))

    def command(self, text: str, meaning: str) -> None:
        """Print a command as it can be copied: never wrapped by us."""
        self._console.print(Text(f"{' ' * _INDENT}# {meaning}", style="dim"))
        self._console.print(Text(f"{' ' * _INDENT}{text}", style="green"), soft_wrap=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show what is waited for, for as long as the block runs."""
        if not self.is_terminal:
            self.say(f"... waiting for {what}")
            yield
            return
        with self._console.status(f"waiting for {what}"):
            yield

    def announce(self, progress: Progress) -> None:
        """Say once that a long step began: for pipes, which have no bar."""
        if progress.step not in self._announced:
            self._announced.add(progress.step)
            self.say(f"{progress.step}, {progress.total / 1e6:.0f} MB; this once only")

    def table(self, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for name in head:
            is_value = name == "value"
            table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=_VALUE_WIDTH if is_value else None)
        for row in rows:
            table.add_row(*(Text(cell, style="dim" if cell == GONE else "") for cell in row))
        self._console.print(Padding(table, (0, 0, 0, _INDENT), expand=False))


def shown(value: Any) -> str:
    """Return a value on one line, objects by what names them."""
    if value is None:
        return GONE
    if isinstance(value, list):
        return ", ".join(shown(each) for each in value)
    if isinstance(value, dict):
        named = next((value[name] for name in ("title", "target", "name") if name in value), None)
        return shown(named) if named is not None else orjson.dumps(value).decode()
    return str(value)
