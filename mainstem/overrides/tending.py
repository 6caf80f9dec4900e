"""What happens to overrides while nobody calls: they run out, they are published anew, and what lies beneath changes.

Each process of the API does this; a set is one process's at a time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from mainstem.overrides.judging import Ground, is_same
from mainstem.overrides.sets import QUERIES, Held, Sets, held_of, json_of, present, records_of, rows_of
from schemas.errors import ConflictError, Skippable
from schemas.metrics import ApiMetrics
from streams.expiry import next_deadline
from streams.policy import Policy

log = structlog.get_logger(__name__)

REST_SECONDS: Final = 1.0
REST_SHARE: Final = 10
REST_AT_MOST_SECONDS: Final = 5.0
"""A look rests for so many times as long as it took, within these bounds."""
REST_OF_FAILED_SECONDS: Final = 60.0
"""Before a set is looked at again that could not be."""
PATIENCE: Final = timedelta(minutes=10)
"""For so long a set that Kafka acknowledged may be on its way to the tables; then it is taken for lost."""
_LAST_MS: Final = 253_402_300_799_000
"""The end of the year 9999: what comes later never comes."""
_AT_ONCE: Final = 50


class Tending:
    """Looks after all sets of overrides of one database."""

    def __init__(self, pool: AsyncConnectionPool, sets: Sets, policy: Policy, metrics: ApiMetrics) -> None:
        self._pool = pool
        self._sets = sets
        self._policy = policy
        self._metrics = metrics

    async def for_ever(self) -> None:
        """Look now and then. What fails is tried again at the next look."""
        while True:
            began = time.monotonic()
            await self._try(self.look_beneath)
            rest = REST_SHARE * (time.monotonic() - began)
            await self._try(self.publish_due)
            await asyncio.sleep(min(max(REST_SECONDS, rest), REST_AT_MOST_SECONDS))

    async def _try(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except Exception as error:  # noqa: BLE001 - whatever it is, overrides must run out all the same
            log.warning("overrides.not_tended", what=act.__name__, reason=type(error).__name__)

    async def publish_due(self) -> None:
        """Publish anew each set of which something has run out, or of which it is not known what Kafka has.

        Raises what :meth:`Publishing.publish` raises: the others would fare no better.
        """
        async with self._pool.connection() as connection:
            due = await rows_of(connection, "due", limit=_AT_ONCE, patience=PATIENCE)
        for row in due:
            tenant, ref = row["tenant_id"], row["entity_ref"]
            try:
                over = await self._sets.refresh(tenant, ref, datetime.now(UTC))
            except ConflictError:
                continue  # somebody is at it
            except Skippable as error:
                log.warning("overrides.not_published", tenant=tenant, entity=ref, reason=str(error))
                continue
            log.info("overrides.published_anew", tenant=tenant, entity=ref)
            for each in over:
                log.info("override.expired", tenant=tenant, entity=ref, field=each.field)
                self._metrics.overrides_ended.labels("expired").inc()

    async def look_beneath(self) -> None:
        """Tell of each override beneath which the value is another than at the last look. Each is told once: whoever
        looks has locked the row, and what was seen is written before it is told. One that cannot be looked at is in the
        way of no other.
        """
        drifts: list[dict[str, Any]] = []
        async with self._pool.connection() as connection, connection.transaction():
            policy = await present(connection, self._policy)
            told = f"{policy.fingerprint} {sorted(policy.outages.items())}"
            asked = {"policy": told, "limit": _AT_ONCE}
            for row in await rows_of(connection, "changed_beneath", **asked):
                drifts += await _look(connection, policy, row)
        for each in drifts:
            self._metrics.override_drifts.inc()
            log.warning("override.drifted", **each)


async def _look(connection: AsyncConnection, policy: Policy, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the overrides of the set of *row* that have drifted since the last look."""
    try:
        async with connection.transaction():
            (found,) = await rows_of(connection, "sets", **_key(row), id=None, name="")
            return await _judge(connection, policy, held_of(row["tenant_id"], found), row["fingerprint"])
    except Exception as error:  # noqa: BLE001 - whatever is the matter with one set, the others are looked at
        told = {"tenant": row["tenant_id"], "entity": row["entity_ref"]}
        log.warning("overrides.not_judged", **told, reason=type(error).__name__)
        again = {"look_again_at": time.time() + REST_OF_FAILED_SECONDS, "is_renamed": False}
        await connection.execute(QUERIES["looked"], {**_key(row), "fingerprint": row["fingerprint"], **again})
        return []


async def _judge(connection: AsyncConnection, policy: Policy, held: Held, fingerprint: str) -> list[dict[str, Any]]:
    """Note how the overrides of a set stand; return those that have drifted since the last look."""
    key = {"tenant": held.tenant, "ref": held.entity_ref}
    looked: dict[str, Any] = {**key, "fingerprint": fingerprint, "look_again_at": None, "is_renamed": False}
    drifted = []
    try:
        records = await records_of(connection, **key)
        ground = Ground.of(records, policy, now=time.time() * 1000)
        states = ground.states(held.overrides.values(), held.record)
    except Skippable as error:
        log.warning("overrides.not_judged", tenant=held.tenant, entity=held.entity_ref, reason=str(error))
    else:
        for field, each in held.overrides.items():
            # Of an entity that is gone nothing is said; it may come back as it was.
            seen = each.seen if ground.beneath is None else ground.value(field)
            await connection.execute(
                QUERIES["judge"], {**key, "field": field, "state": states[field], "seen": json_of(seen)}
            )
            if not is_same(seen, each.seen):
                drifted.append(
                    {"tenant": held.tenant, "entity": held.entity_ref, "field": field, "state": states[field]}
                )
        again = next_deadline(ground.records, policy, ground.now)
        looked["look_again_at"] = None if again > _LAST_MS else again / 1000
        looked["is_renamed"] = ground.identity is not None and ground.identity != held.identity
    await connection.execute(QUERIES["looked"], looked)
    return drifted


def _key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"tenant": row["tenant_id"], "ref": row["entity_ref"]}
