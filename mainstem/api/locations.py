"""`/backstage/v1/locations/{secret}/{shard}.yaml`: the catalogue as files that a Backstage without our module reads.

Backstage sends no header that says who it is: whoever knows the secret of `api.locations` may read.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psycopg
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import SecretStr

from mainstem.access import tenants
from mainstem.api.access import LOCATIONS
from mainstem.api.parameters import IfNoneMatch, is_known, not_modified
from mainstem.api.problems import Problem
from mainstem.api.routing import Admitting
from schemas.canonical import canonical_json
from schemas.refs import DEFAULT_TENANT, entity_key
from schemas.statements import statements
from sinks.backstage.descriptors import located, refusals, shard_of

TENANT: Final = DEFAULT_TENANT
"""Whose catalogue the files are: `api.locations` has one secret, which is for one tenant. A Backstage of another one is
fed by the sink `backstage`, whose options name its tenant."""
router = APIRouter(prefix=LOCATIONS.rstrip("/"), include_in_schema=False, route_class=Admitting)

_QUERIES: Final = statements(Path(__file__).with_name("queries.sql"))
_RENDERING: Final = version("mainstem").encode()
"""What is made of the same entities may differ from version to version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locations:
    """Which files there are, and who may read them. *kinds*: lower-cased, None = all."""

    secret: SecretStr
    shards: int
    kinds: frozenset[str] | None
    refresh: "Refresh | None" = None
    """None = nobody is told of a change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """The Backstage that reads the files, and how often is looked whether there is something to tell it."""

    base_url: str
    token: SecretStr | None
    seconds: float


@router.get("/{secret}/{name}")
async def get_location(request: Request, secret: str, name: str, if_none_match: IfNoneMatch = None) -> Response:
    """Return one shard of the catalogue: a JSON object of each entity, as the YAML documents that they are too."""
    locations: Locations | None = request.app.state.settings.locations
    shard = None if locations is None else _shard(locations, secret, name)
    if locations is None or shard is None:
        # The same for whoever guesses the secret and for whoever has it.
        raise Problem(404, "Not found", "nothing is here")
    async with tenants.inside(request.app.state.pool, TENANT) as connection:
        refs = [each async for at, each in _refs(connection, locations) if at == shard]
        if is_known(_etag(refs), if_none_match):
            return not_modified(_etag(refs))
        wanted = {"tenant": TENANT, "refs": [ref for ref, _ in refs]}
        rows = await (await connection.execute(_QUERIES["location_entities"], wanted)).fetchall()
    etag = _etag((ref, content_hash) for ref, content_hash, _ in rows)
    body = b"".join(_document(ref, entity, locations.kinds) for ref, _, entity in rows)
    return Response(body or b"# no entities\n", media_type="application/yaml", headers={"ETag": etag})


async def etags(connection: psycopg.AsyncConnection, locations: Locations) -> dict[int, str]:
    """Return the ETag of each file."""
    shards: dict[int, list[tuple[str, str]]] = {shard: [] for shard in range(locations.shards)}
    async for shard, each in _refs(connection, locations):
        shards[shard].append(each)
    return {shard: _etag(entities) for shard, entities in shards.items()}


async def _refs(
    connection: psycopg.AsyncConnection, locations: Locations
) -> AsyncIterator[tuple[int, tuple[str, str]]]:
    """Yield the shard, and reference and content hash, of every entity that is in a file, in the files' order."""
    kinds = None if locations.kinds is None else sorted(locations.kinds)
    found = await connection.execute(_QUERIES["location_refs"], {"tenant": TENANT, "kinds": kinds})
    async for ref, content_hash in found:
        yield shard_of(entity_key(TENANT, ref), locations.shards), (ref, content_hash)


def _shard(locations: Locations, secret: str, name: str) -> int | None:
    number = name.removesuffix(".yaml")
    is_right = hmac.compare_digest(secret.encode(), locations.secret.get_secret_value().encode())
    if not is_right or number == name or not (number.isascii() and number.isdigit()) or str(int(number[:9])) != number:
        return None
    return int(number) if int(number) < locations.shards else None


def _etag(entities: Iterable[tuple[str, str]]) -> str:
    """Return a strong ETag: the same entities are rendered to the same bytes."""
    digest = hashlib.blake2b(_RENDERING, digest_size=16)
    for ref, content_hash in entities:
        digest.update(f"{ref} {content_hash}\n".encode())
    return f'"{digest.hexdigest()}"'


def _document(ref: str, entity: dict[str, Any], kinds: frozenset[str] | None) -> bytes:
    """Return the entity as a document; nothing of one that Backstage would refuse: it could spoil the file."""
    if refusals(ref, entity, kinds=kinds):
        return b""
    return b"---\n%b\n" % canonical_json(located(entity, None))
