"""Which strategies a rule can name: entry points of the group `mainstem.merge_strategies`."""

from collections.abc import Mapping
from typing import Any, Final

from schemas import plugins
from streams.base import Strategy

GROUP: Final = "mainstem.merge_strategies"


def create(name: str, options: Mapping[str, Any]) -> Strategy:
    """Return the strategy of one rule. Raises ConfigError that lists what is installed, or says what it cannot use."""
    return plugins.find(GROUP, name, Strategy)(options)  # type: ignore[type-abstract]
