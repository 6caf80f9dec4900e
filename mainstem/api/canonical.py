"""Services and teams as they are answered. *now* is epoch seconds; None leaves out what only time changes."""

from typing import Any

from mainstem.api.graph import name_of
from mainstem.api.shapes import timestamp


def service(row: dict[str, Any], *, now: float | None) -> dict[str, Any]:
    """Return a row of `services.sql`'s services as it is answered."""
    same = ("id", "entity_ref", "name", "description", "tier", "lifecycle", "tags")
    return {
        **{name: row[name] for name in same},
        "owner": _owner(row),
        "on_call": _duty(row),
        "dependencies": {way: [_edge(each) for each in row[way]] for way in ("upstream", "downstream")},
        "runbooks": row["runbooks"],
        "source": row["source"],
        "synced_at": _time(row),
        "freshness": _freshness(row, row["source"], now),
    }


def on_call(row: dict[str, Any], *, now: float | None) -> dict[str, Any] | None:
    """Return who is on call by a row of `services.sql`'s services; None: nobody is known."""
    duty = _duty(row)
    if duty is None:
        return None
    source = row["on_call_source"] or row["source"]
    freshness = _freshness(row, source, now)
    return {**duty, "schedule_id": row["schedule_id"], "source": source, "freshness": freshness}


def team(row: dict[str, Any], *, now: float | None) -> dict[str, Any]:
    """Return a row of `services.sql`'s teams as it is answered."""
    same = ("id", "entity_ref", "name", "email", "slack_channel", "members", "services", "source")
    freshness = _freshness(row, row["source"], now)
    return {**{name: row[name] for name in same}, "synced_at": _time(row), "freshness": freshness}


def _owner(row: dict[str, Any]) -> dict[str, Any] | None:
    """The channel is the team's, and where it has none the service's own."""
    if row["owner_ref"] is None:
        return None
    own = row["metadata"].get("slackChannel")
    channel = row["team_channel"] or (own if isinstance(own, str) else None)
    return {"team_id": row["team_id"], "name": row["team_name"] or row["owner_ref"], "slack_channel": channel}


def _duty(row: dict[str, Any]) -> dict[str, Any] | None:
    told = row["metadata"].get("onCall")
    if not isinstance(told, dict) or not told:
        return None
    facts = {"user_id": told.get("userId"), "name": told.get("name"), "until": told.get("until")}
    found = {name: value if isinstance(value, str) else None for name, value in facts.items()}
    return found if found["user_id"] or found["name"] else None


def _edge(edge: dict[str, Any]) -> dict[str, Any]:
    return {**edge, "name": edge["name"] or name_of(edge["entity_ref"])}


def _time(row: dict[str, Any]) -> str | None:
    return None if row["synced_at"] is None else timestamp(row["synced_at"])


def _freshness(row: dict[str, Any], source: str, now: float | None) -> dict[str, Any]:
    """Tell how fresh the word of *source* is."""
    touched = row["touched"].get(source)
    age = None if now is None or touched is None else max(0, round(now - touched))
    return {"state": "stale" if source in row["stale"] else "fresh", "age_seconds": age, "source": source}
