"""What the demo's connectors say, as the changes that they publish."""

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from schemas.refs import EntityRef

GIT: Final = "git"
INCIDENT_TOOL: Final = "incident-tool"
TEAM: Final = "team-payments"

Change = dict[str, Any]

_TIERS: Final = 3
_SHIFT: Final = timedelta(hours=8)
_KNOWN: Final[Mapping[str, Mapping[str, Any]]] = {
    "payment-api": {
        "description": "Handles payment processing",
        "tier": "tier1",
        "onCall": {"userId": "user_jane", "name": "Jane Smith"},
        "runbooks": [
            {
                "title": "Latency troubleshooting",
                "url": "https://runbooks.example/payment-api/latency",
                "type": "troubleshooting",
            }
        ],
    }
}
"""Services of which people wrote down what else is made up; the documentation's examples are of them."""
_MAX_DEPENDENCIES: Final = 3


def git(entity: Mapping[str, Any]) -> Change:
    """Return what the connector `git` publishes of a descriptor."""
    return {"entity": entity}


def incident_tool(entity: Mapping[str, Any], *, observed_at: int) -> Change:
    """Return what a tool for incidents knows of a service; *observed_at* is epoch ms."""
    name, team = entity["metadata"]["name"], _team(entity)
    known = _KNOWN.get(name, {})
    duty = known.get("onCall", {"userId": f"{team}-first-line", "name": f"First line of {team}"})
    until = datetime.fromtimestamp(observed_at // 1000, UTC) + _SHIFT
    pages = f"{_title(entity)}, which pages {team} by day and by night."
    return {
        "observedAt": observed_at,
        "entity": _part(entity, description=known.get("description", pages)),
        "service": {
            "tier": known.get("tier", f"tier{1 + zlib.crc32(name.encode()) % _TIERS}"),
            "ownerTeam": team,
            "onCall": {**duty, "until": until.isoformat().replace("+00:00", "Z")},
            "slackChannel": f"#incident-{name}",
            "runbooks": known.get("runbooks", [_runbook(name)]),
            "dependencies": _dependencies(entity),
        },
    }


def incident_tool_of_team(group: Mapping[str, Any], *, observed_at: int) -> Change:
    """Return what a tool for incidents knows of a team."""
    channel = f"#team-{group['metadata']['name']}"
    return {"observedAt": observed_at, "entity": _part(group), "service": {"slackChannel": channel}}


def team(entity: Mapping[str, Any]) -> Change:
    """Return what the people who run a service publish about it by themselves."""
    name, team = entity["metadata"]["name"], _team(entity)
    part = _part(entity, description=f"{_title(entity)}, in the words of those who run it.")
    part["metadata"] |= {
        "tags": ["told-by-team"],
        "links": [{"url": f"https://dashboards.example/{name}", "title": "What we look at"}],
    }
    return {"entity": part, "service": {"ownerTeam": f"{team} (us)", "slackChannel": f"#ask-{team}"}}


def newcomer(hero: Mapping[str, Any], name: str) -> Change:
    """Return a service that only the team knows of: it is in no repository yet."""
    metadata = {"name": name, "description": "Tried out by its team, in no repository yet."}
    spec = {"type": "service", "lifecycle": "experimental", "owner": _team(hero)}
    return {
        "entity": {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec},
        "service": {"slackChannel": f"#ask-{_team(hero)}"},
    }


def delete(ref: str) -> Change:
    return {"op": "delete", "entityRef": ref}


def _runbook(name: str) -> dict[str, str]:
    return {"title": f"When {name} is down", "url": f"https://runbooks.example/{name}", "type": "outage"}


def _part(entity: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    named = {name: entity["metadata"][name] for name in ("name", "namespace") if name in entity["metadata"]}
    return {"apiVersion": entity["apiVersion"], "kind": entity["kind"], "metadata": {**named, **metadata}}


def _title(entity: Mapping[str, Any]) -> str:
    title = entity["metadata"].get("title")
    return title if isinstance(title, str) else str(entity["metadata"]["name"])


def _team(entity: Mapping[str, Any]) -> str:
    owner = (entity.get("spec") or {}).get("owner")
    try:
        return EntityRef.parse(str(owner or ""), kind="group").name
    except ValueError:
        return "its-team"


def _dependencies(entity: Mapping[str, Any]) -> list[dict[str, Any]]:
    targets = (entity.get("spec") or {}).get("dependsOn")
    named = [each for each in targets if isinstance(each, str)] if isinstance(targets, list) else []
    return [
        {"target": target, "type": "runtime", "isCritical": place == 0}
        for place, target in enumerate(named[:_MAX_DEPENDENCIES])
    ]
