"""The overrides of each entity: kept in Postgres, and published whole whenever one of them comes, goes or runs out.

Kafka is asked first: what is in the tables has been acknowledged. A writer takes a lease on the set, then the version
of its change, then publishes, then writes what it published. Whatever ends it in between leaves a version that nobody
confirmed; whoever comes next publishes the set as it stands in the tables, over what may or may not have arrived.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from mainstem.access import tenants
from mainstem.held import HELD, record_of, with_outages
from mainstem.overrides.judging import Drawn, Ground, Override, drawn
from mainstem.publishing import Publishing, Said
from schemas.canonical import canonical_json
from schemas.errors import ConflictError, NotAcknowledgedError
from schemas.records import Record
from schemas.statements import statements
from sinks.postgres.model import entity_id
from streams.policy import OVERRIDE, Policy

log = structlog.get_logger(__name__)

LEASE: Final = timedelta(seconds=15)
"""Longer than Kafka may take; a writer that died is waited for as long."""
CLAIM_SECONDS: Final = 8.0
_LOOK_SECONDS: Final = 0.05
QUERIES: Final = HELD | statements(Path(__file__).with_name("queries.sql"))

Overrides: TypeAlias = Mapping[str, Override]
Alteration: TypeAlias = Callable[["Held", Ground], Overrides]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The overrides of one entity, by field. *identity*: how the entity is called; empty before the first one."""

    tenant: str
    entity_ref: str
    identity: Mapping[str, str]
    overrides: Overrides

    @property
    def record(self) -> Record | None:
        """What the merge is given."""
        return self.drawn(self.overrides).record if self.overrides else None

    def drawn(self, overrides: Overrides, identity: Mapping[str, str] | None = None, version: int = 0) -> Drawn:
        """Return *overrides* as a change. Raises ValidationError and DecodeError."""
        values = {each.field: each.value for each in overrides.values()}
        return drawn(self.entity_ref, self.tenant, identity or self.identity, values, version)


class Sets:
    """All sets of overrides of one database. What a set is altered by is decided under its lease."""

    def __init__(self, pool: AsyncConnectionPool, publishing: Publishing, policy: Policy) -> None:
        self._pool = pool
        self._publishing = publishing
        self._policy = policy

    async def find(self, tenant: str, *, ref: str = "", set_id: uuid.UUID | None = None, name: str = "") -> list[Held]:
        """Return the sets of what is called so, by any of the three."""
        async with tenants.inside(self._pool, tenant) as connection:
            rows = await rows_of(connection, "sets", tenant=tenant, ref=ref, id=set_id, name=name)
        return [held_of(tenant, row) for row in rows]

    async def ground(self, held: Held) -> Ground:
        """Return what lies beneath now. Raises MergeError."""
        async with tenants.inside(self._pool, held.tenant) as connection:
            records = await records_of(connection, held.tenant, held.entity_ref)
            policy = await present(connection, self._policy)
        return Ground.of(records, policy, now=time.time() * 1000)

    async def alter(self, tenant: str, ref: str, alteration: Alteration, *, patience: float = CLAIM_SECONDS) -> Said:
        """Publish what *alteration* makes of the set, then keep it; return the change.

        Whatever *alteration* raises is raised, and nothing was done. Raises ConflictError when another writer has the
        set for longer than *patience*, and what :meth:`Publishing.publish` raises: then the set stays as it was.
        """
        key = {"tenant": tenant, "ref": ref, "writer": uuid.uuid4()}
        await self._claim(key, patience)
        try:
            (held,) = await self.find(tenant, ref=ref)
            ground = await self.ground(held)
            wanted = alteration(held, ground)
            identity = ground.identity or held.identity
            held.drawn(wanted, identity)
            version = await self._begin(key)
            change = held.drawn(wanted, identity, version)
            receipt = await self._publishing.publish(OVERRIDE, change.draft)
            await self._confirm({**key, "version": version, "identity": Jsonb(identity)}, held, wanted)
        finally:
            await self._release(key)
        return Said(connector=OVERRIDE, tenant=tenant, entity_ref=ref, version=version, receipt=receipt)

    async def refresh(self, tenant: str, ref: str, now: datetime) -> list[Override]:
        """Publish the set anew, less what has run out; return that. What another writer has is left to it."""
        over: list[Override] = []

        def less_what_is_over(held: Held, _: Ground) -> Overrides:
            over.extend(each for each in held.overrides.values() if each.is_over(now))
            return {field: each for field, each in held.overrides.items() if not each.is_over(now)}

        await self.alter(tenant, ref, less_what_is_over, patience=0)
        return over

    async def _claim(self, key: Mapping[str, Any], patience: float) -> None:
        until = time.monotonic() + patience
        claim = {**key, "id": entity_id(key["tenant"], key["ref"]), "lease": LEASE}
        while True:
            async with tenants.inside(self._pool, key["tenant"]) as connection:
                if await rows_of(connection, "claim", **claim):
                    return
            if time.monotonic() >= until:
                raise ConflictError(f"the overrides of {key['ref']} are being altered by somebody else; try again")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _begin(self, key: Mapping[str, Any]) -> int:
        async with tenants.inside(self._pool, key["tenant"]) as connection:
            rows = await rows_of(connection, "begin", **key)
        if not rows:
            raise ConflictError(f"the overrides of {key['ref']} took too long to alter; try again")
        return int(rows[0]["version"])

    async def _confirm(self, key: Mapping[str, Any], held: Held, wanted: Overrides) -> None:
        altered = [each for field, each in wanted.items() if held.overrides.get(field) is not each]
        async with tenants.inside(self._pool, key["tenant"]) as connection:
            if not await rows_of(connection, "confirm", **key):
                # Somebody took it for dead, and publishes the set without it.
                raise NotAcknowledgedError("Kafka took too long")
            await connection.execute(QUERIES["keep"], {**key, "fields": list(wanted)})
            for each in altered:
                row = {name: getattr(each, name) for name in ("field", "reason", "author", "expires_at")}
                values = {"value": json_of(each.value), "then": json_of(each.then)}
                await connection.execute(QUERIES["put"], {**key, **row, **values})

    async def _release(self, key: Mapping[str, Any]) -> None:
        """Let others have it. Where the database is away the lease ends by itself."""
        try:
            async with tenants.inside(self._pool, key["tenant"]) as connection:
                await connection.execute(QUERIES["release"], key)
                await connection.execute(QUERIES["drop_unused"], key)
        except psycopg.Error as error:
            log.warning("overrides.not_released", entity=key["ref"], reason=type(error).__name__)


def held_of(tenant: str, row: Mapping[str, Any]) -> Held:
    """Return a row of the statement `sets`."""
    overrides = (_override(each) for each in row["overrides"])
    return Held(
        tenant=tenant,
        entity_ref=row["entity_ref"],
        identity=row["identity"],
        overrides={each.field: each for each in overrides},
    )


def with_one(overrides: Overrides, each: Override) -> Overrides:
    return {**overrides, each.field: each}


async def records_of(connection: AsyncConnection, tenant: str, ref: str) -> list[Record]:
    return [record_of(row) for row in await rows_of(connection, "records", tenant=tenant, ref=ref)]


async def present(connection: AsyncConnection, policy: Policy) -> Policy:
    """Return *policy* with the outages that the processor has heard of."""
    return with_outages(policy, await rows_of(connection, "outages"))


def json_of(value: Any) -> Jsonb:
    """Return *value*, however deep it is nested, as a parameter of a statement."""
    return Jsonb(value, dumps=canonical_json)


def _override(row: Mapping[str, Any]) -> Override:
    ends = row["expires_at"]
    return Override(**{**row, "expires_at": None if ends is None else datetime.fromtimestamp(ends, UTC)})


async def rows_of(connection: AsyncConnection, query: str, **parameters: Any) -> Sequence[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(QUERIES[query], parameters)
        return await cursor.fetchall()
