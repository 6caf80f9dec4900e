"""What the processor holds, as the rows of `entity_records` and `outages` show it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from schemas.canonical import canonical_json
from schemas.records import NEVER, Record
from schemas.statements import statements
from streams.outages import Outages
from streams.policy import Policy

_WRITTEN: Final = dict(statements(Path(__file__).with_name("held.sql")))
_COLUMNS: Final = _WRITTEN.pop("columns")
HELD: Final = {name: text.replace("@columns", _COLUMNS) for name, text in _WRITTEN.items()}
"""Statements for the rows that are read here. Whoever asks sees to the tenant."""

_FAR_MS: Final = 2**61
"""Stands for a time that Postgres calls infinity."""


def record_of(row: Mapping[str, Any]) -> Record:
    """Return the record that a row of HELD was made of; its times are epoch seconds as text."""
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


def with_outages(policy: Policy, rows: Iterable[Mapping[str, Any]]) -> Policy:
    """Return *policy* with the outages of *rows*: what was said to any partition is said to all of them, and may be on
    its way to some.
    """
    words: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for row in rows:
        for connector, said in row["words"].items():
            words[connector].update((at, op) for at, op in said)
    intervals = Outages({connector: tuple(sorted(said)) for connector, said in words.items()}).intervals
    return replace(policy, outages=intervals) if intervals else policy
