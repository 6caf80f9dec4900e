"""How long to wait before trying again: growing, bounded, and never in step with others."""

from collections.abc import Callable, Iterator
from typing import Final

FIRST: Final = 0.1
"""Seconds."""
LONGEST: Final = 30.0
"""Seconds."""


def pauses(draw: Callable[[], float]) -> Iterator[float]:
    """Yield seconds for ever: doubling from FIRST to LONGEST, each shortened by up to half. *draw* is in [0, 1)."""
    ceiling = FIRST
    while True:
        yield ceiling * (0.5 + draw() / 2)
        ceiling = min(ceiling * 2, LONGEST)
