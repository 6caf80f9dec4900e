"""Type `backstage`: the catalogue of a Backstage, read through its API.

```yaml
connection:
  base_url: https://backstage.acme.com   # what stands before /api/catalog
  auth: {type: bearer_token, secret_ref: env:BACKSTAGE_TOKEN}
```
"""

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import orjson

from schemas.errors import CursorExpiredError, UnreadableAnswerError
from schemas.refs import DEFAULT_NAMESPACE
from sources.base import Cursor, Item, Page, Refused, Source, SourceSettings
from sources.connection import auth_headers, base_url, refuse_unknown
from sources.http import HttpClient, Limits

LIST: Final = "/api/catalog/entities/by-query"
BY_NAME: Final = "/api/catalog/entities/by-name"

_EXPIRED: Final = frozenset({400})
"""What Backstage answers to a cursor that it cannot decode, such as one of another version of itself."""
_ORIGIN: Final = "backstage.io/managed-by-location"
_SINK: Final = "mainstem:"
_SHARDS: Final = "/backstage/v1/locations/"
_is_path: Final = re.compile(r"[a-z0-9]+/[a-z0-9-]+/[a-z0-9._-]+").fullmatch


class BackstageSource(Source):
    """Every entity of a Backstage but those that it has from Mainstem."""

    page_size: ClassVar[int] = 500
    limits: ClassVar[Limits] = Limits()

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        refuse_unknown(settings.connection, {"base_url", "auth"}, f"connector {settings.connector}: connection")
        self._base_url = base_url(settings)
        self._headers = auth_headers(settings)

    async def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page]:
        """Yield the entities in the order of their ids, which stay the same while an entity exists."""
        after, total = (None, 0) if cursor is None else self._position(cursor)
        async with HttpClient(
            self._base_url, retry=self.settings.retry, headers=self._headers, limits=self.limits
        ) as client:
            while True:
                answer = await _asked(client, after, self.settings.chunk_size)
                # A page that came to say less than those before it must not make a run look whole.
                total = max(total, answer.total)
                after = answer.next_cursor
                yield self._page(answer, total)
                if after is None:
                    return

    def _position(self, cursor: Cursor) -> tuple[str, int]:
        after, total = cursor.get("cursor"), cursor.get("total")
        # In another catalogue the ids are others: going on there would skip some entities.
        if cursor.get("base_url") != self._base_url or not isinstance(after, str) or not isinstance(total, int):
            raise CursorExpiredError("the saved cursor is not of the Backstage that is configured now")
        return after, total

    def _page(self, answer: "_Answer", total: int) -> Page:
        following, left_out = answer.next_cursor, 0
        items, refused = list[Item](), list[Refused]()
        for entity in answer.entities:
            if not isinstance(entity, dict):
                refused.append(Refused(place=f"{self._base_url}{LIST}", reason="an entity must be an object"))
                continue
            said = entity.get("metadata")
            metadata = said if isinstance(said, dict) else {}
            if _is_echo(metadata):
                left_out += 1
            else:
                _steady(entity, metadata)
                items.append(Item(self._place(entity, metadata), {"entity": entity}))
        return Page(
            items=items,
            refused=refused,
            cursor=None if following is None else {"base_url": self._base_url, "cursor": following, "total": total},
            total=total,
            left_out=left_out,
        )

    def _place(self, entity: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
        """Return the address of *entity*, or of the list where its name is not fit for one."""
        namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
        path = f"{entity.get('kind')}/{namespace}/{metadata.get('name')}".lower()
        is_named = metadata and _is_path(path)
        return f"{self._base_url}{BY_NAME}/{path}" if is_named else f"{self._base_url}{LIST}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    entities: Sequence[Any]
    total: int
    next_cursor: str | None


async def _asked(client: HttpClient, after: str | None, limit: int) -> _Answer:
    if after is None:
        answer = await client.get(LIST, {"limit": limit})
    else:
        answer = await client.get(LIST, {"limit": limit, "cursor": after}, expired=_EXPIRED)
    told = answer.json_object()
    entities, total, info = told.get("items"), told.get("totalItems"), told.get("pageInfo")
    if not isinstance(entities, list) or not isinstance(info, dict):
        raise UnreadableAnswerError(f"{answer.address} answered without items or pageInfo: it is no list of entities")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise UnreadableAnswerError(f"{answer.address} does not say in totalItems how many entities there are")
    following = info.get("nextCursor")
    if following is not None and (not isinstance(following, str) or not following):
        raise UnreadableAnswerError(f"{answer.address} answered with a nextCursor that is no text")
    if following is not None and not entities:
        raise UnreadableAnswerError(f"{answer.address} answered with a page of nothing that is not the last")
    return _Answer(entities=entities, total=total, next_cursor=following)


def _is_echo(metadata: Mapping[str, Any]) -> bool:
    """Return whether Backstage has an entity from Mainstem: taken for news, it would keep itself alive for ever."""
    annotations = metadata.get("annotations")
    origin = annotations.get(_ORIGIN) if isinstance(annotations, dict) else None
    if not isinstance(origin, str):
        return False
    if origin.startswith(_SINK):
        return True
    kind, _, target = origin.partition(":")
    try:
        return _SHARDS in urlsplit(target if kind == "url" else origin).path
    except ValueError:
        return False


def _steady(entity: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Rid *entity* of what differs between two answers although nobody changed it.

    Relations stay, for rules that extract dependencies from them.
    """
    entity.pop("status", None)
    metadata.pop("uid", None)
    metadata.pop("etag", None)
    metadata.pop("generation", None)
    relations = entity.get("relations")
    if isinstance(relations, list) and len(relations) > 1:
        relations.sort(key=_text)


def _text(relation: Any) -> bytes:
    try:
        return orjson.dumps(relation, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return json.dumps(relation, sort_keys=True).encode()
