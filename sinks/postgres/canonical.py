"""The canonical model in the tables, in step with the rows of `entities` that were just written.

Two processes that write at once never miss each other: whoever makes a service or a team, or takes one away, does so
alone (`exclude`), so that what refers to it is there to be found; all others write side by side (`share`). This lock
is the last that a transaction asks for, but for rows in the order of their keys; so nobody waits in a circle.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row

from schemas.canonical import canonical_json
from schemas.refs import parse_entity_key
from schemas.statements import statements
from sinks.postgres.model import TEAM_KIND, Model, Row, entity_id, model_of

QUERIES: Final = statements(Path(__file__).with_name("canonical.sql"))
MENDED_AT_ONCE: Final = 500
_LOCK: Final = 0x6D61696E6D6F646C
"""Its key among the advisory locks of the database: "mainmodl"."""

_Key = tuple[str, str]
"""Tenant and entityRef."""


class Standing(NamedTuple):
    """What the tables hold of an entity before it is projected."""

    version: int
    is_there: bool
    is_service: bool
    is_team: bool


@dataclass(slots=True)
class Work:
    """What is to be written of one batch, each list in the order of the keys."""

    related: list[Row] = field(default_factory=list)
    services: list[Row] = field(default_factory=list)
    teams: list[Row] = field(default_factory=list)
    known_services: list[Row] = field(default_factory=list)
    new_services: list[Row] = field(default_factory=list)
    new_teams: list[Row] = field(default_factory=list)
    lost_services: list[Row] = field(default_factory=list)
    lost_teams: list[Row] = field(default_factory=list)
    touched_services: list[Row] = field(default_factory=list)
    touched_teams: list[Row] = field(default_factory=list)
    """Those whose records moved."""

    @property
    def is_exclusive(self) -> bool:
        return bool(self.new_services or self.new_teams or self.lost_services or self.lost_teams)

    @property
    def is_shared(self) -> bool:
        return bool(self.services or self.teams or self.touched_services or self.touched_teams)

    def add(self, key: _Key, found: Model, standing: Standing) -> None:
        """Plan for one entity; one that vanished is nothing at all."""
        tenant, ref = key
        related = [each._asdict() for each in found.relations]
        kept = [f"{each.type} {each.target_ref}" for each in found.relations]
        self.related.append({"tenant_id": tenant, "entity_ref": ref, "relations": related, "kept": kept})
        if found.service is not None:
            self.services.append(found.service)
            (self.known_services if standing.is_service else self.new_services).append(found.service)
        elif standing.is_service:
            self.lost_services.append(_row(key))
        if found.team is not None:
            self.teams.append(found.team)
            if not standing.is_team:
                self.new_teams.append(found.team)
        elif standing.is_team:
            self.lost_teams.append(_row(key))


class Canonical:
    """Writes `services`, `teams`, `service_dependencies`, `service_runbooks` and `stated_relations`."""

    def __init__(self, service_kinds: Collection[str]) -> None:
        self._kinds = frozenset(kind.lower() for kind in service_kinds)

    def write(
        self,
        cursor: psycopg.Cursor,
        upserts: Iterable[Row] = (),
        *,
        vanished: Iterable[bytes] = (),
        touched: Iterable[bytes] = (),
    ) -> None:
        """Bring the tables in step with `entities`, in the transaction that wrote it, as its last step.

        *upserts* are rows as they were given to `entities`, *vanished* the keys of entities that ended, *touched*
        those of entities whose records were written.
        """
        rows = {(row["tenant"], row["entity_ref"]): row for row in upserts}
        work = Work()
        for key, standing in self._standing(cursor, sorted({*rows, *map(parse_entity_key, vanished)})):
            row = rows.get(key)
            if not standing.is_there:
                work.add(key, Model([]), standing)
            elif row is not None and row["version"] == standing.version:
                work.add(key, model_of(row, self._kinds), standing)
        for key in sorted(set(map(parse_entity_key, touched))):
            kind = key[1].partition(":")[0]
            if kind == TEAM_KIND:
                work.touched_teams.append(_row(key))
            elif kind in self._kinds:
                work.touched_services.append(_row(key))
        carry_out(cursor, work)

    def mend(self, cursor: psycopg.Cursor) -> int:
        """Project some entities that nobody projected: those of before, and of versions that knew of no model."""
        with cursor.connection.cursor(row_factory=dict_row) as found:
            rows = found.execute(QUERIES["unprojected"], {"limit": MENDED_AT_ONCE}).fetchall()
        if rows:
            self.write(cursor, rows)
            _run(cursor, "mark_projected", [_row((row["tenant"], row["entity_ref"])) for row in rows])
        return len(rows)

    def heed_kinds(self, cursor: psycopg.Cursor) -> None:
        """Have entities mended that are services by another configuration than this one, or not by it."""
        cursor.execute(QUERIES["other_kinds"], {"kinds": sorted(self._kinds)})

    def _standing(self, cursor: psycopg.Cursor, keys: Sequence[_Key]) -> list[tuple[_Key, Standing]]:
        if not keys:
            return []
        _run(cursor, "standing", [_row(key) for key in keys])
        return [((tenant, ref), Standing(*rest)) for tenant, ref, *rest in sorted(cursor.fetchall())]


def carry_out(cursor: psycopg.Cursor, work: Work) -> None:
    """Run the statements that a batch needs, in the transaction that is under way."""
    if work.is_exclusive or work.is_shared:
        cursor.execute(QUERIES["exclude" if work.is_exclusive else "share"], {"lock": _LOCK})
    _run(cursor, "lock_teams", _ids([*work.teams, *work.touched_teams]))
    _run(cursor, "lock_services", _ids([*work.known_services, *work.touched_services]))
    _run(cursor, "remove_services", work.lost_services)
    _run(cursor, "remove_teams", work.lost_teams)
    # Teams before what they own, services before what depends on them.
    _run(cursor, "put_teams", work.teams)
    _run(cursor, "resolve_owners", _only(work.new_teams, "external_id"))
    _run(cursor, "put_services", work.services)
    for part in ("dependencies", "runbooks"):
        _run(cursor, f"drop_{part}", [_kept(each, part) for each in work.known_services])
        _run(cursor, f"put_{part}", [each for each in _only(work.services, part) if each[part]])
    _run(cursor, "resolve_dependencies", _only(work.new_services, "external_id"))
    _run(cursor, "drop_relations", work.related)
    _run(cursor, "put_relations", [each for each in work.related if each["relations"]])
    _run(cursor, "sync_teams", work.touched_teams)
    _run(cursor, "sync_services", work.touched_services)


def _run(cursor: psycopg.Cursor, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        cursor.execute(QUERIES[name], {"rows": canonical_json(rows).decode()}, prepare=False)


def _row(key: _Key) -> Row:
    tenant, ref = key
    return {"tenant_id": tenant, "entity_ref": ref, "id": entity_id(tenant, ref)}


def _ids(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    return [{"tenant_id": row["tenant_id"], "id": row["id"]} for row in rows]


def _kept(service: Mapping[str, Any], part: str) -> Row:
    return {"tenant_id": service["tenant_id"], "id": service["id"], "kept": [each["id"] for each in service[part]]}


def _only(rows: Iterable[Mapping[str, Any]], part: str) -> list[Row]:
    return [{"tenant_id": row["tenant_id"], "id": row["id"], part: row[part]} for row in rows]
