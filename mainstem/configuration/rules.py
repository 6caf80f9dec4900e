"""Rules that say, per kind and field, how records are merged. `mainstem/policies.py` makes strategies of them."""

from itertools import combinations
from typing import Any, Final, Self

from pydantic import Field, model_validator

from mainstem.configuration.faults import did_you_mean
from mainstem.configuration.section import Section
from mainstem.configuration.values import Integer, Kind, Pointer, Text
from streams.claims import IDENTITY, MAPS, SECTIONS, Place, is_map
from streams.rules import tokens

_OPTION_OF: Final = {
    "first_by_priority": None,
    "authoritative": "connector",
    "most_recent": None,
    "union": None,
    "union_by_key": "key",
    "deep_merge": None,
    "min": None,
    "max": None,
    "rank": "values",
    "coupled": "pointers",
    "drop": None,
}
"""Mainstem's own strategies, and the one option that each needs and no other of them takes."""


class MergeRule(Section, extra="allow"):
    """*strategy* is one of Mainstem's, or the name under which a third party installed theirs.

    A further key is an option of a third party's strategy, which checks it itself.
    """

    kinds: tuple[Kind, ...] | None = None  # None: every kind
    path: Pointer
    strategy: Text
    connector: Text | None = None
    values: tuple[Any, ...] | None = None
    pointers: tuple[Pointer, ...] | None = None
    key: Text | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What the strategy is given."""
        named = {name: getattr(self, name) for name in ("connector", "values", "pointers", "key")}
        given = {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}
        return {name: value for name, value in given.items() if value is not None} | (self.model_extra or {})

    @property
    def paths(self) -> tuple[str, ...]:
        """The pointers at which it stands: one, or those of a coupled group."""
        others = self.pointers if self.strategy == "coupled" else None
        return tuple(dict.fromkeys((self.path, *(others or ()))))

    @model_validator(mode="after")
    def _options_of_the_strategy(self) -> Self:
        if self.strategy not in _OPTION_OF:
            return self
        needed = _OPTION_OF[self.strategy]
        for option in self.options:
            of = next((name for name, taken in _OPTION_OF.items() if taken == option), None)
            if of is None:
                raise ValueError(f"unknown key {option}; {did_you_mean(option, MergeRule.model_fields)}")
            if option != needed:
                raise ValueError(f"{option} belongs to strategy {of} alone; remove it")
        if needed and not self.options.get(needed):
            raise ValueError(f"strategy {self.strategy} needs {needed}")
        return self

    @model_validator(mode="after")
    def _paths_lead_to_fields(self) -> Self:
        for path in self.paths:
            fault = _path_fault(tokens(path), is_one=self.strategy == "coupled")
            if fault:
                raise ValueError(f"{path} {fault}")
        return self


class MergeConfig(Section):
    rules: tuple[MergeRule, ...] = ()
    revision: Integer = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _no_two_about_the_same(self) -> Self:
        for (one, first), (other, second) in combinations(enumerate(self.rules), 2):
            both = set(first.paths) & set(second.paths)
            if both and _meet(first.kinds, second.kinds):
                raise ValueError(f"rules[{one}] and rules[{other}] are both about {min(both)}; remove one of them")
        return self


def _path_fault(place: Place, *, is_one: bool) -> str:
    """Return what is wrong with a rule's path, nothing when it is right. *is_one*: it must lead to a single field."""
    if place in IDENTITY:
        return "is the entity's identity, which no rule makes"
    if place[0] not in SECTIONS:
        return f"leads nowhere; a path begins with /{', /'.join(SECTIONS)}"
    if len(place) > (3 if is_map(place[:2]) else 2):
        field = "/".join(("", *place[:2]))
        return f"lies inside of a field that is merged as a whole; the rule can be about {field}"
    if is_one and (len(place) == 1 or is_map(place)):
        return f"is many fields; coupled takes single ones, and keys of {' and '.join(MAPS)}"
    return ""


def _meet(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> bool:
    """Whether two rules are as close to some kind: one that names it counts over one for every kind."""
    return one is other is None if one is None or other is None else bool(set(one) & set(other))
