"""The services of a desk, which answers `GET /services?limit=50&after=pay` with the next 50 by name."""

from collections.abc import AsyncGenerator
from typing import Any

from schemas.errors import UnreadableAnswerError
from sources.base import Cursor, Item, Page, Source, SourceSettings
from sources.connection import auth_headers, base_url, refuse_unknown
from sources.http import HttpClient


class DeskSource(Source):
    """Every service, with its owner and its tier."""

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        refuse_unknown(settings.connection, {"base_url", "auth"}, f"connector {settings.connector}: connection")
        self._base_url = base_url(settings)
        self._headers = auth_headers(settings)

    async def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page]:
        after, more = cursor["after"] if cursor else "", True
        async with HttpClient(self._base_url, retry=self.settings.retry, headers=self._headers) as client:
            while more:
                asked = {"limit": self.settings.chunk_size, "after": after}
                services, more, total = _read(await client.get_json("/services", asked))
                if services:
                    after = services[-1]["name"]
                    items = [_item(service) for service in services]
                    yield Page(items=items, cursor={"after": after}, total=total)


def _read(answer: Any) -> tuple[list[dict[str, Any]], bool, int]:
    try:
        services, more, total = answer["services"], answer["more"], answer["total"]
    except (KeyError, TypeError):
        raise UnreadableAnswerError("the desk answered without services, more or total: is it a desk?") from None
    if more and not services:
        raise UnreadableAnswerError("the desk promises more and gives nothing")
    return services, more, total


def _item(service: dict[str, Any]) -> Item:
    entity = {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": service["name"]},
        "spec": {"owner": service.get("owner")},
    }
    return Item(
        place=f"/services/{service['name']}", change={"entity": entity, "service": {"tier": service.get("tier")}}
    )
