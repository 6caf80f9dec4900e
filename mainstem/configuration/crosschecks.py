"""Rules between keys that stand far apart. They look at what was written, so that they hold beside other faults."""

from collections.abc import Iterator
from typing import Any

from mainstem.configuration.faults import Faults, did_you_mean
from schemas.refs import DEFAULT_TENANT


def add_faults(document: dict[str, Any], faults: Faults) -> None:
    _unique(document, faults, ("tenants", "id"))
    _unique(document, faults, ("connectors", "connector_id"))
    _tenants_exist(document, faults)


def _written(document: dict[str, Any], section: str, key: str, default: Any = None) -> Iterator[tuple[int, str]]:
    """Yield the index and the text under *key* of every item of a list that has one."""
    items = document.get(section)
    for index, item in enumerate(items if isinstance(items, list) else []):
        value = item.get(key, default) if isinstance(item, dict) else None
        if isinstance(value, str):
            yield index, value


def _unique(document: dict[str, Any], faults: Faults, place: tuple[str, str]) -> None:
    section, key = place
    first: dict[str, int] = {}
    for index, value in _written(document, section, key):
        if value in first:
            other = faults.place((section, first[value], key))
            faults.add_unless_known((section, index, key), f"the same id stands at {other}; rename one of them")
        first.setdefault(value, index)


def _tenants_exist(document: dict[str, Any], faults: Faults) -> None:
    tenants = {value for _, value in _written(document, "tenants", "id")}
    if "tenants" not in document:
        tenants = {DEFAULT_TENANT}
    for index, value in _written(document, "connectors", "tenant", DEFAULT_TENANT):
        if tenants and value not in tenants:
            remedy = did_you_mean(value, tenants, among="tenants")
            faults.add_unless_known(("connectors", index, "tenant"), f"no such tenant is configured; {remedy}")
