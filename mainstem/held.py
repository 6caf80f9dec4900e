"""The records that the processor holds, as the rows of `entity_records` show them."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.canonical import canonical_json
from schemas.records import NEVER, Record

_FAR_MS: Final = 2**61
"""Stands for a time that Postgres calls infinity."""


def record_of(row: Mapping[str, Any]) -> Record:
    """Return the record that a row was made of; its times are epoch seconds as text."""
    touched, expires = float(row["last_touched"]), row["expiration_date"]
    is_far = abs(touched) == NEVER
    entity = {"apiVersion": row["api_version"], "kind": row["kind"], "metadata": row["metadata"], "spec": row["spec"]}
    body = {
        "entity": {name: value for name, value in entity.items() if value is not None},
        "service": row["service"] or {},
    }
    return Record(
        connector=row["data_source"],
        generation=row["generation"],
        version=row["source_version"],
        observed_at=(_FAR_MS if touched > 0 else -_FAR_MS) if is_far else round(touched * 1000),
        timestamp=0,
        ttl=None if expires is None or is_far else float(expires) - touched,
        priority=row["priority_score"],
        content_hash=row["content_hash"],
        content=None if row["deleted"] else canonical_json(body),
        id=row["change_id"],
    )
