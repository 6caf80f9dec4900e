"""What is answered, made of what is stored; the command line answers the same."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from schemas.records import NEVER
from streams.explain import Explanation, Leaf, Standing


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(epoch_ms: float) -> str | None:
    """Return RFC 3339 of a time; None for one that lies outside of what it can write."""
    try:
        return timestamp(datetime.fromtimestamp(epoch_ms / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def entity(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `queries.sql`'s entities as it is answered."""
    return {**row, "merged_at": timestamp(row["merged_at"])}


def explanation(ref: str, found: Explanation, leaves: Iterable[Leaf]) -> dict[str, Any]:
    """Return an explanation with those of its *leaves* that were asked for. A field that is left out has no value."""
    return {
        "entity_ref": ref,
        "exists": found.entity is not None,
        "records": [_standing(each) for each in found.standings],
        "fields": [_leaf(each) for each in leaves],
    }


def _standing(one: Standing) -> dict[str, Any]:
    return {
        "connector": one.connector,
        "life": one.life,
        "priority": None if one.priority == NEVER else one.priority,
        "observed_at": one.observed_at,
        "asserts_existence": one.asserts_existence,
    }


def _leaf(leaf: Leaf) -> dict[str, Any]:
    losers = [{"connector": each.connector, "value": each.value, "reason": each.reason} for each in leaf.losers]
    value = {} if leaf.value is None else {"value": leaf.value}
    return {
        "field": leaf.pointer,
        "strategy": leaf.strategy,
        **value,
        "winners": list(leaf.winners),
        "losers": losers,
    }
