"""The catalogue that the demo tells about: the entities in the files, and the one that it follows."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mainstem.demo.voices import GIT
from schemas.errors import ConfigError, Skippable
from sources.catalog_files import walk
from sources.publisher import draft

SAMPLE: Final = Path(__file__).with_name("catalog")
SAMPLE_HERO: Final = "component:default/payments"
MAX_SERVICES: Final = 60

_KINDS: Final = ("component", "api", "system", "resource")
"""Kinds of which events are sent, the best hero first."""
_TOLD: Final = ("description", "tags", "links", "annotations", "owner", "dependsOn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Descriptors by reference; of a reference that is written twice, the last."""

    directory: Path
    entities: Mapping[str, dict[str, Any]]
    refused: int
    """Documents that the connector will not publish."""
    hero: str

    def services(self) -> list[str]:
        """Return whom the other connectors speak about: the hero, then others of its kind, MAX_SERVICES at most."""
        kind = _kind(self.hero)
        others = [ref for ref in self.entities if _kind(ref) == kind and ref != self.hero]
        return [self.hero, *others][:MAX_SERVICES]

    def teams(self) -> list[str]:
        return [ref for ref in self.entities if _kind(ref) == "group"]


def read_catalogue(directory: Path) -> Catalogue:
    """Return what the connector `git` will publish of *directory*. Raises ConfigError when no story can be told."""
    entities: dict[str, dict[str, Any]] = {}
    times: Counter[str] = Counter()
    refused = 0
    for ref, entity in _documents(directory):
        if ref is None:
            refused += 1
            continue
        entities[ref] = entity
        times[ref] += 1
    candidates = [ref for ref in entities if times[ref] == 1 and _kind(ref) in _KINDS]
    if not candidates:
        raise ConfigError(
            f"{directory}: holds no Component, API, System or Resource that keeps Backstage's rules"
            f" ({refused} documents refused); `mainstem publish --dry-run` says why"
        )
    is_sample = directory == SAMPLE
    hero = SAMPLE_HERO if is_sample else min(candidates, key=lambda ref: _rank(ref, entities[ref]))
    return Catalogue(directory=directory, entities=entities, refused=refused, hero=hero)


def _documents(directory: Path) -> Iterator[tuple[str | None, dict[str, Any]]]:
    for document in walk(directory):
        entity = document.entity
        if entity is None:
            yield None, {}
            continue
        try:
            yield draft({"entity": entity}, GIT, is_complete=True).entity_ref, entity
        except Skippable:
            yield None, {}


def _rank(ref: str, entity: Mapping[str, Any]) -> tuple[int, int, str]:
    """Sort components first, and among them those of which the files tell most."""
    told = {**entity["metadata"], **(entity.get("spec") or {})}
    return _KINDS.index(_kind(ref)), -sum(bool(told.get(name)) for name in _TOLD), ref


def _kind(ref: str) -> str:
    return ref.partition(":")[0]
