"""What is answered, made of what is stored; the command line answers the same."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.records import NEVER
from streams.explain import Explanation, Leaf, Standing


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def moment(epoch_ms: float) -> str | None:
    """Return RFC 3339 of a time; None for one that lies outside of what it can write."""
    try:
        return timestamp(datetime.fromtimestamp(epoch_ms / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class Winners:
    """Whom provenance names: *source* gave the name, *all* of them some field, sorted."""

    source: str
    all: tuple[str, ...]

    @classmethod
    def of(cls, provenance: Mapping[str, str | list[str]]) -> "Winners":
        won = {each for winners in provenance.values() for each in _names(winners)}
        return cls(str(provenance.get("/metadata/name", "")), tuple(sorted(won)))


def entity(row: dict[str, Any], winners: Winners | None = None) -> dict[str, Any]:
    """Return a row of `queries.sql`'s entities as it is answered, and change it. *winners*: those of its provenance,
    where they are known.
    """
    who, now, stale, touched = winners or Winners.of(row["provenance"]), time.time(), row["stale"], row.pop("touched")
    # As `freshness` tells it, of each: an answer has thousands.
    by_connector: dict[str, dict[str, Any]] = {}
    for name in who.all:
        at = touched.get(name)
        age = None if at is None else round(now - at)
        by_connector[name] = {
            "state": "stale" if name in stale else "fresh",
            "age_seconds": 0 if age is not None and age < 0 else age,
        }
    fresh = by_connector.get(who.source) or freshness({**row, "touched": touched}, who.source, now)
    row["freshness"] = {**fresh, "source": who.source, "by_connector": by_connector}
    return row


def freshness(row: dict[str, Any], source: str, now: float | None) -> dict[str, Any]:
    """Tell how fresh the word of *source* is. *now*: epoch seconds; None leaves the age out."""
    return {"state": state(row, source), "age_seconds": age_seconds(row, source, now), "source": source}


def state(row: dict[str, Any], source: str) -> str:
    return "stale" if source in row["stale"] else "fresh"


def age_seconds(row: dict[str, Any], source: str, now: float | None) -> int | None:
    touched = row["touched"].get(source)
    return None if now is None or touched is None else max(0, round(now - touched))


def _names(winners: str | list[str]) -> list[str]:
    return [winners] if isinstance(winners, str) else winners


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
