"""Services and teams as they are answered. *now* is epoch seconds; without its age, what did not change is the same."""

from datetime import UTC, datetime, timedelta
from typing import Any

from mainstem.api.references import name_of
from mainstem.api.shapes import freshness, timestamp


def service(row: dict[str, Any], *, now: float, has_age: bool = True) -> dict[str, Any]:
    """Return a row of `services.sql`'s services as it is answered."""
    same = ("id", "entity_ref", "name", "description", "tier", "lifecycle", "tags")
    return {
        **{name: row[name] for name in same},
        "owner": _owner(row),
        "on_call": _duty(row, now),
        "dependencies": {way: [_edge(each) for each in row[way]] for way in ("upstream", "downstream")},
        "runbooks": row["runbooks"],
        "source": row["source"],
        "synced_at": _time(row),
        "freshness": freshness(row, row["source"], now if has_age else None),
    }


def on_call(row: dict[str, Any], *, now: float, has_age: bool = True) -> dict[str, Any] | None:
    """Return who is on call by a row of `services.sql`'s services; None: nobody is known to be."""
    duty = _duty(row, now)
    if duty is None:
        return None
    source = row["on_call_source"] or row["source"]
    fresh = freshness(row, source, now if has_age else None)
    return {**duty, "schedule_id": row["schedule_id"], "source": source, "freshness": fresh}


def team(row: dict[str, Any], *, now: float, has_age: bool = True) -> dict[str, Any]:
    """Return a row of `services.sql`'s teams as it is answered."""
    same = ("id", "entity_ref", "name", "email", "slack_channel", "members", "services", "source")
    fresh = freshness(row, row["source"], now if has_age else None)
    return {**{name: row[name] for name in same}, "synced_at": _time(row), "freshness": fresh}


def _owner(row: dict[str, Any]) -> dict[str, Any] | None:
    """The channel is the team's, and where it has none the service's own."""
    if row["owner_ref"] is None:
        return None
    own = row["metadata"].get("slackChannel")
    channel = row["team_channel"] or (own if isinstance(own, str) else None)
    return {"team_id": row["team_id"], "name": row["team_name"] or row["owner_ref"], "slack_channel": channel}


def _duty(row: dict[str, Any], now: float) -> dict[str, Any] | None:
    """Return who is on call at *now*: nobody, once the duty is over."""
    told = row["metadata"].get("onCall")
    if not isinstance(told, dict) or not told:
        return None
    facts = {"user_id": told.get("userId"), "name": told.get("name"), "until": told.get("until")}
    found = {name: value if isinstance(value, str) else None for name, value in facts.items()}
    is_somebody = bool(found["user_id"] or found["name"])
    return found if is_somebody and not _is_over(found["until"], now) else None


def _is_over(until: str | None, now: float) -> bool:
    """A date is over when its day is, in UTC; of a text that tells no time nobody can say."""
    if until is None:
        return False
    try:
        end = datetime.fromisoformat(until)
        if len(until) <= len("2026-01-30"):
            end += timedelta(days=1)
        return (end if end.tzinfo else end.replace(tzinfo=UTC)).timestamp() <= now
    except (ValueError, OverflowError):  # such as the last day that there is, which stands for never
        return False


def _edge(edge: dict[str, Any]) -> dict[str, Any]:
    return {**edge, "name": edge["name"] or name_of(edge["entity_ref"])}


def _time(row: dict[str, Any]) -> str | None:
    return None if row["synced_at"] is None else timestamp(row["synced_at"])
