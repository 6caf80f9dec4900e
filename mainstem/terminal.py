"""Text from outside, made harmless for a terminal."""

import unicodedata
from typing import Any, Final

from rich import box
from rich.table import Column, Table
from rich.text import Text

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


def table(*names: str, **options: Any) -> Table:
    """Return a table whose cells go on in the next line where there is no room: nothing in them is left out."""
    return Table(*(Column(name, overflow="fold") for name in names), box=box.SIMPLE, **options)
