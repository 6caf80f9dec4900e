"""Who must win, by the connectors' priorities alone: what the demo holds merged entities against.

Told a second time on purpose, in its simplest form: whoever asks `streams/merge.py` learns nothing about it.
"""

from collections.abc import Mapping
from typing import Any, Final

from mainstem.demo.voices import GIT, INCIDENT_TOOL, TEAM, Change

PRECEDENCE: Final = (INCIDENT_TOOL, TEAM, GIT)
WATCHED: Final = (
    "/metadata/description",
    "/metadata/tags",
    "/spec/owner",
    "/service/tier",
    "/service/ownerTeam",
    "/service/onCall",
    "/service/slackChannel",
    "/service/runbooks",
    "/service/dependencies",
)
_UNIONS: Final = frozenset({"/metadata/tags", "/service/runbooks", "/service/dependencies"})

Said = dict[str, Change]
"""What each connector says of one entity, by connector: only those whose word counts."""
Fields = dict[str, tuple[str, Any]]
"""By pointer: who won, several joined by commas where all may add; and the value, None where all may add."""


def expected_fields(said: Said) -> Fields:
    """Return the watched fields of an entity of which each connector of *said* has a live record."""
    fields: Fields = {}
    for at in WATCHED:
        holders = [each for each in PRECEDENCE if each in said and value_in(said[each], at) not in (None, "", [])]
        if holders and at in _UNIONS:
            fields[at] = ", ".join(holders), None
        elif holders:
            fields[at] = holders[0], value_in(said[holders[0]], at)
    return fields


def found_fields(view: Mapping[str, Any]) -> Fields:
    """Return the watched fields of a merged entity: `entity`, `service` and `provenance` as in Kafka or Postgres."""
    fields: Fields = {}
    for at in WATCHED:
        winner = view["provenance"].get(at)
        if winner is not None and at in _UNIONS:
            fields[at] = ", ".join(winner), None
        elif winner is not None:
            fields[at] = winner, value_in(view, at)
    return fields


def value_in(document: Mapping[str, Any], at: str) -> Any:
    """Return the value at a pointer of a change or a view, None where there is none."""
    section, name = at.split("/")[1:]
    holder = document.get("service") if section == "service" else document["entity"].get(section)
    return (holder or {}).get(name)
