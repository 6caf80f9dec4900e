"""SQL is SQL: named statements in a `.sql` file beside their user, each below a line `-- name: NAME`."""

import re
from functools import cache
from pathlib import Path
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(file: Path) -> dict[str, LiteralString]:
    """Return each statement of *file* by its name."""
    _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
    return {name: cast("LiteralString", sql.strip()) for name, sql in zip(parts[::2], parts[1::2], strict=True)}
