"""Rules that say, per kind and field, how records are merged. This version reads them, and refuses to start."""

from typing import Any, Self

from pydantic import Field, model_validator

from mainstem.configuration.section import Section
from mainstem.configuration.values import Integer, Kind, Pointer, Text

_OPTION_OF = {"connector": "authoritative", "values": "rank", "pointers": "coupled", "key": "union_by_key"}


class MergeRule(Section):
    """*strategy* is one of Mainstem's, or the name under which a third party installed theirs."""

    kinds: tuple[Kind, ...] | None = None  # None: every kind
    path: Pointer
    strategy: Text
    connector: Text | None = None
    values: tuple[Any, ...] | None = None
    pointers: tuple[Pointer, ...] | None = None
    key: Text | None = None

    @model_validator(mode="after")
    def _options_of_the_strategy(self) -> Self:
        for option, strategy in _OPTION_OF.items():
            given = getattr(self, option) is not None
            if given and self.strategy != strategy:
                raise ValueError(f"{option} belongs to strategy {strategy} alone; remove it")
            if not given and self.strategy == strategy:
                raise ValueError(f"strategy {strategy} needs {option}")
        return self


class MergeConfig(Section):
    rules: tuple[MergeRule, ...] = ()
    revision: Integer = Field(default=0, ge=0)
