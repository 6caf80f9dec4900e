"""A figure: what was measured, with the goal beside it. Nothing here decides anything."""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table

_PIPE_COLUMNS = 140
_NOTABLE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """*least* or *most* is the goal, where there is one; *note* says what the figure rests on."""

    benchmark: str
    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def goal(self) -> str:
        if self.least is not None:
            return f"≥ {self.least:g}"
        return "" if self.most is None else f"< {self.most:g}"

    @property
    def is_met(self) -> bool | None:
        if self.least is not None:
            return self.value >= self.least
        return None if self.most is None else self.value < self.most


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a benchmark is given: a Kafka of its own, how large it may be, and whom to tell what it does."""

    bootstrap: str
    is_quick: bool
    repeats: int
    say: Callable[[str], None]

    def size(self, whole: int, quick: int) -> int:
        return quick if self.is_quick else whole


def stolen(before: Any, after: Any) -> float:
    """Return which share of the time of processors the host gave to others, between two of `psutil.cpu_times()`."""
    spent = {name: getattr(after, name) - getattr(before, name) for name in before._fields if "guest" not in name}
    return spent.get("steal", 0.0) / max(sum(spent.values()), 0.01)


def noted(figures: Iterable[Figure], share: float) -> list[Figure]:
    """Return *figures* that tell what others took of the processors meanwhile: it makes what is slowest slower."""
    told = f"others had {share:.0%} of the processors" if share >= _NOTABLE else ""
    return [replace(each, note="; ".join(filter(None, (each.note, told)))) for each in figures]


def show(figures: Iterable[Figure], *, as_json: bool) -> None:
    if as_json:
        rows = [{**asdict(each), "goal": each.goal, "is_met": each.is_met} for each in figures]
        print(json.dumps(rows, indent=2))
        return
    table = Table("benchmark", "figure", "value", "goal", "", "rests on")
    for each in figures:
        mark = {True: "met", False: "[red]missed[/red]", None: ""}[each.is_met]
        table.add_row(each.benchmark, each.name, f"{_short(each.value)} {each.unit}", each.goal, mark, each.note)
    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(table)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
