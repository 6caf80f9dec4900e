"""What the row of an entity makes in the canonical model, in the words in which the tables are read."""

from collections.abc import Collection, Mapping
from typing import Any

from mainstem.verification.digests import digest
from schemas.canonical import canonical_json
from sinks.postgres.model import model_of


def wanted_digest(row: Mapping[str, Any], service_kinds: Collection[str]) -> str:
    """Return the digest of all that the tables must hold of an entity that is there; its JSON is read already."""
    texts = {name: canonical_json(row[name]) for name in ("entity", "service", "provenance")}
    found = model_of({**row, **texts}, service_kinds)
    service = None
    if found.service is not None:
        edges = sorted(found.service["dependencies"], key=lambda edge: edge["id"])
        service = {
            **_without(found.service, "owner_id"),
            "is_owner_found": True,
            "dependencies": [{**_without(edge, "target_id"), "is_found": True} for edge in edges],
        }
    return digest([service, found.team, sorted(map(list, found.relations))])


def found_digest(service: Any, team: Any, relations: Any) -> str:
    """Return the digest of what the tables hold."""
    return digest([service, team, relations])


def _without(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}
