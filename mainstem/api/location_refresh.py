"""A Backstage that reads location files is told when one has changed, so that it need not wait for its own round."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx2
import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

from mainstem.access.tenants import inside
from mainstem.api.access import LOCATIONS
from mainstem.api.locations import TENANT, Locations, Refresh, etags

log = structlog.get_logger(__name__)

REST_SHARE: Final = 50
"""A look rests for at least so many times as long as it took."""
_CATALOGUE: Final = "/api/catalog"
_PAGE: Final = 500
_ANSWER_SECONDS: Final = 10.0


class Teller:
    """Knows which content of each file Backstage was told of. A restart tells it of all of them, which costs little."""

    def __init__(self, locations: Locations, refresh: Refresh) -> None:
        self._locations = locations
        self._refresh = refresh
        self._told: dict[int, str] = {}
        self._refs: dict[int, str] = {}

    async def tell(self, found: Mapping[int, str]) -> None:
        """Let Backstage read anew each file whose ETag, in *found*, is not the one it was told of.

        Raises httpx2.HTTPError and ValueError; what was told by then is not told again.
        """
        changed = [shard for shard, etag in found.items() if self._told.get(shard) != etag]
        if not changed:
            return
        async with self._client() as client:
            if not self._refs.keys() >= set(changed):
                self._refs = {shard: ref async for shard, ref in self._looked_up(client)}
            for shard in changed:
                if shard in self._refs:
                    await self._tell(client, shard)
                else:
                    log.warning("api.location_unknown", shard=shard, remedy="add the file to catalog.locations")
                self._told[shard] = found[shard]

    async def _tell(self, client: httpx2.AsyncClient, shard: int) -> None:
        answer = await client.post(f"{_CATALOGUE}/refresh", json={"entityRef": self._refs[shard]})
        if answer.status_code == httpx2.codes.NOT_FOUND:
            # It has another name by now, or is gone: looked up at the next try.
            del self._refs[shard]
        answer.raise_for_status()

    async def _looked_up(self, client: httpx2.AsyncClient) -> AsyncIterator[tuple[int, str]]:
        """Yield the number and the entity reference of each of our files that Backstage reads.

        They are known by the end of their path: where Backstage sees us is its own business.
        """
        ends = {
            f"{LOCATIONS}{self._locations.secret.get_secret_value()}/{shard}.yaml": shard
            for shard in range(self._locations.shards)
        }
        query = {"filter": "kind=location", "limit": str(_PAGE)}
        while True:
            answer = await client.get(f"{_CATALOGUE}/entities/by-query", params=query)
            page = answer.raise_for_status().json()
            for entity in page["items"]:
                for target in _targets(entity):
                    at = target.find(LOCATIONS)
                    if at >= 0 and target[at:] in ends:
                        yield ends[target[at:]], _ref(entity)
            if not (cursor := page["pageInfo"].get("nextCursor")):
                return
            query = {"cursor": cursor, "limit": str(_PAGE)}

    def _client(self) -> httpx2.AsyncClient:
        token = self._refresh.token
        headers = {"authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        return httpx2.AsyncClient(base_url=self._refresh.base_url, headers=headers, timeout=_ANSWER_SECONDS)


async def refresh_for_ever(pool: AsyncConnectionPool, locations: Locations, refresh: Refresh) -> None:
    """Look at an interval whether a file has changed, and tell Backstage. What fails is tried at the next look."""
    teller = Teller(locations, refresh)
    while True:
        took = 0.0
        try:
            async with inside(pool, TENANT) as connection:
                began = time.monotonic()
                found = await etags(connection, locations)
                took = time.monotonic() - began
            await teller.tell(found)
        except (
            psycopg.Error,
            httpx2.HTTPError,
            LookupError,
            AttributeError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            # The class alone: what was received stands in the text of some.
            log.warning("api.locations_not_refreshed", reason=_reason(error))
        await asyncio.sleep(max(refresh.seconds, REST_SHARE * took))


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.HTTPStatusError):
        return f"Backstage answered with status {error.response.status_code}"
    return type(error).__name__


def _targets(entity: Mapping[str, Any]) -> list[str]:
    spec = entity.get("spec") or {}
    said = [spec.get("target"), *(spec.get("targets") or ())]
    return [each for each in said if isinstance(each, str)]


def _ref(entity: Mapping[str, Any]) -> str:
    metadata = entity["metadata"]
    return f"location:{metadata.get('namespace') or 'default'}/{metadata['name']}"
