"""What can be used as it is written and is perhaps not meant: warnings, which stop nothing."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from mainstem.config import Config
from mainstem.configuration.connector import ConnectorConfig
from mainstem.configuration.faults import Faults, KeyPath, did_you_mean
from schemas.descriptor_kinds import KINDS
from schemas.facts import FACTS, meant_by, slips
from schemas.topics import RESERVED_CONNECTORS

_KINDS: Final = tuple(sorted(kind.lower() for kind in KINDS))
_FACTS: Final = tuple(re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", fact) for fact in FACTS)
_OF_RUNS: Final = (
    "connection",
    "incremental",
    "retry",
    "sync",
    "entity_types",
    "filters",
    "validation",
    "field_mapping",
    "dependency_extraction",
)


def about(config: Config, faults: Faults) -> Iterator[str]:
    """Yield a sentence per doubt, with its place."""
    for number, connector in enumerate(config.connectors):
        place: KeyPath = ("connectors", number)
        yield from _kinds(connector.entity_types or (), (*place, "entity_types"), faults)
        yield from _facts(connector.field_mapping, (*place, "field_mapping"), faults)
        yield from _documents(connector, (*place, "connection", "documents"), faults)
        yield from _without_runs(connector, place, faults)
    for number, rule in enumerate(config.merge.rules):
        yield from _kinds(rule.kinds or (), ("merge", "rules", number, "kinds"), faults)
    yield from _authorities(config, faults)


def _kinds(kinds: Iterable[str], place: KeyPath, faults: Faults) -> Iterator[str]:
    """Warn of a kind that is nearly one of Backstage's. Any other may be a kind of somebody's own."""
    for number, kind in enumerate(kinds):
        if meant := meant_by(kind, _KINDS):
            yield f"{faults.place((*place, number))}: Backstage has no kind {kind}; did you mean {meant}?"


def _facts(keys: Collection[str], place: KeyPath, faults: Faults) -> Iterator[str]:
    """Warn of a key that is nearly a known fact's. Any other may be a fact of somebody's own."""
    for key in keys:
        meant = meant_by(key, _FACTS)
        if meant is not None and meant not in keys:
            yield _own(faults.place((*place, key)), meant)


def _documents(connector: ConnectorConfig, place: KeyPath, faults: Faults) -> Iterator[str]:
    """The same for the rules of type `git`, where the keys are those of `service` itself."""
    stated = connector.connection.get("documents") if connector.type == "git" else None
    for number, rule in enumerate(stated if isinstance(stated, list) else ()):
        for key, meant in slips(rule.get("service") if isinstance(rule, dict) else None):
            yield _own(faults.place((*place, number, "service", *key.split("."))), meant)


def _own(place: str, meant: str) -> str:
    return f"{place}: becomes a key of service of your own; did you mean {meant}?"


def _without_runs(connector: ConnectorConfig, place: KeyPath, faults: Faults) -> Iterator[str]:
    if connector.type == "external":
        for key in _OF_RUNS:
            if key in connector.model_fields_set:
                yield f"{faults.place((*place, key))}: without effect, as others publish this connector's changes"


def _authorities(config: Config, faults: Faults) -> Iterator[str]:
    """Warn of rules whose one connector is not configured: a slip of the pen would empty the field everywhere."""
    known = {*(each.connector_id for each in config.connectors), *RESERVED_CONNECTORS}
    for number, rule in enumerate(config.merge.rules):
        if rule.connector is not None and rule.connector not in known:
            place = faults.place(("merge", "rules", number, "connector"))
            remedy = did_you_mean(rule.connector, known, among="connectors")
            yield f"{place}: no connector {rule.connector} is configured; {remedy}"
