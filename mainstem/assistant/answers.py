"""What a model is given of an answer: the parts that an incident asks for, of a size that fits beside other things."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import orjson

MAX_TEXT: Final = 400
MAX_NEIGHBOURS: Final = 20
MAX_RUNBOOKS: Final = 10
MAX_NODES: Final = 100
MAX_FIELDS: Final = 40
MAX_LOSERS: Final = 5
MAX_CANDIDATES: Final = 5
MAX_CHANGES: Final = 5
_MAX_POINTERS: Final = 10
_MAX_VIA: Final = 3

SAID_BY: Final = {
    "name": ("/service/name", "/metadata/name"),
    "description": ("/service/description", "/metadata/description"),
    "tier": ("/service/tier",),
    "lifecycle": ("/service/lifecycle", "/spec/lifecycle"),
    "owner": ("/service/ownerTeam", "/spec/owner"),
    "on_call": ("/service/onCall", "/service/scheduleId"),
    "slack_channel": ("/service/slackChannel",),
    "dependencies": ("/service/dependencies", "/spec/dependsOn"),
    "runbooks": ("/service/runbooks", "/metadata/links"),
    "tags": ("/metadata/tags",),
}
"""The fields of a service by the names of its answer: the pointers whose value it may be, the stronger one first."""


def cut(value: Any, most: int = MAX_TEXT) -> Any:
    """Return *value*, or the beginning of its text where that is long."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return value if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters)"


def listed(items: Sequence[Any], most: int) -> dict[str, Any]:
    """Return the first *most* of *items* and how many there are."""
    return {"total": len(items), "items": list(items[:most])}


def brief(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service of a list: enough to choose the right one."""
    same = ("entity_ref", "name", "tier", "lifecycle", "owner", "on_call", "freshness")
    return {**{name: cut(service[name]) for name in same}, "description": cut(service["description"], 200)}


def context(
    service: Mapping[str, Any],
    duty: Mapping[str, Any] | None,
    graph: Mapping[str, Any],
    entity: Mapping[str, Any],
    changes: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return all that is told of *service* in an incident. *graph*: what depends on it, at any distance."""
    same = ("entity_ref", "name", "description", "tier", "lifecycle", "tags", "owner")
    neighbours = service["dependencies"]
    return {
        **{name: cut(service[name]) for name in same},
        "on_call": duty,
        "runbooks": listed([cut(each) for each in service["runbooks"]], MAX_RUNBOOKS),
        "depends_on": listed([_neighbour(each) for each in neighbours["upstream"]], MAX_NEIGHBOURS),
        "direct_dependents": listed([_neighbour(each) for each in neighbours["downstream"]], MAX_NEIGHBOURS),
        "blast_radius": _extent(graph),
        "recent_changes": [change(each) for each in changes],
        "freshness": service["freshness"],
        "synced_at": service["synced_at"],
        "merged_at": entity["merged_at"],
        "stale_connectors": entity["stale"],
        "said_by": _said_by(entity["provenance"]),
    }


def change(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return one change, its values cut."""
    values = {name: cut(told[name]) for name in ("before", "after") if name in told}
    return {**told, "changed": listed(told["changed"], _MAX_POINTERS), **values}


def dependencies(graph: Mapping[str, Any], direction: str, most: int) -> dict[str, Any]:
    """Return a graph as its nodes, the nearest first, each with the neighbours by which it is reached."""
    distances = {graph["root"]: 0, **{node["entity_ref"]: node["distance"] for node in graph["nodes"]}}
    via: dict[str, list[str]] = defaultdict(list)
    critical = set()
    for edge in graph["edges"]:
        near, far = (edge["from"], edge["to"]) if direction == "upstream" else (edge["to"], edge["from"])
        if distances[far] == distances[near] + 1:
            via[far].append(near)
            critical |= {far} if edge["is_critical"] else set()
    nodes = [
        {
            **{name: node[name] for name in ("entity_ref", "name", "tier", "lifecycle", "distance")},
            "via": via[node["entity_ref"]][:_MAX_VIA],
            "is_critical": node["entity_ref"] in critical,
            "is_in_catalogue": node["id"] is not None,
        }
        for node in graph["nodes"][:most]
    ]
    left_out = len(graph["nodes"]) - len(nodes)
    return {"root": graph["root"], **_extent(graph), "services": nodes, "left_out": left_out}


def explained(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return who won and who lost the *fields*."""
    shown = {
        pointer: {
            "value": cut(leaf["value"]),
            "winners": leaf["winners"],
            "strategy": leaf["strategy"],
            "losers": [{**each, "value": cut(each["value"])} for each in leaf["losers"][:MAX_LOSERS]],
        }
        for pointer, leaf in list(fields.items())[:MAX_FIELDS]
    }
    return {"fields": shown, "left_out": len(fields) - len(shown)}


def chosen(fields: Mapping[str, Any], wanted: str) -> dict[str, Any]:
    """Return those of *fields* that *wanted* names: a pointer, or the name of a field of a service's answer."""
    pointers = SAID_BY.get(wanted, (wanted,))
    return {
        at: leaf for at, leaf in fields.items() if any(at == each or at.startswith(f"{each}/") for each in pointers)
    }


def nearest(text: str, refs: Iterable[str]) -> list[str]:
    """Return the references that are most like *text*, by their names."""
    names = {ref: ref.rpartition("/")[2] for ref in refs}
    wanted = text.lower().rpartition("/")[2].rpartition(":")[2]
    order = get_close_matches(wanted, names.values(), n=len(names) or 1, cutoff=0)
    return sorted(names, key=lambda ref: (order.index(names[ref]), ref))[:MAX_CANDIDATES]


def _neighbour(edge: Mapping[str, Any]) -> dict[str, Any]:
    same = {name: edge[name] for name in ("entity_ref", "name", "type", "is_critical")}
    return {**same, "is_in_catalogue": edge["id"] is not None}


def _extent(graph: Mapping[str, Any]) -> dict[str, Any]:
    nodes = graph["nodes"]
    return {
        "total": len(nodes),
        "is_complete": not graph["truncated"],
        "by_distance": dict(Counter(str(node["distance"]) for node in nodes)),
        "by_tier": dict(Counter(node["tier"] or "unknown" for node in nodes)),
    }


def _said_by(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the connectors whose word counted, by field of the answer."""
    found = {}
    for field, pointers in SAID_BY.items():
        said = [winners for each in pointers for winners in _at(provenance, each)]
        if said:
            found[field] = sorted(set(said))
    return found


def _at(provenance: Mapping[str, Any], pointer: str) -> list[str]:
    found: list[str] = []
    for at, winners in provenance.items():
        if at == pointer or at.startswith(f"{pointer}/"):
            found += [winners] if isinstance(winners, str) else winners
    return found
