"""What is answered, made of what is stored; the command line answers the same."""

from datetime import UTC, datetime
from typing import Any


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def entity(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `queries.sql`'s entities as it is answered."""
    return {**row, "merged_at": timestamp(row["merged_at"])}
