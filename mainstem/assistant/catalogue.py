"""The catalogue as the caller of a tool may see it, asked for what several tools tell of."""

import asyncio
import re
from typing import Any, Final, Literal

from mainstem.assistant import answers
from mainstem.assistant.asking import Asking, UnansweredError

Direction = Literal["upstream", "downstream"]

_WORD: Final = re.compile(r"[a-z0-9]+")
_WORDS_ASKED: Final = 4


class Catalogue:
    """Asked with the *token* of one call. What it cannot tell raises UnansweredError."""

    def __init__(self, asking: Asking, token: str | None) -> None:
        self._asking = asking
        self._token = token

    async def get(self, *steps: str, **query: Any) -> dict[str, Any]:
        return await self._asking.get(self._token, *steps, **query)

    async def ref(self, service: str) -> str:
        found: str = (await self.get("services", service, fields="entity_ref"))["entity_ref"]
        return found

    async def changes(self, ref: str, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get("entities", ref, "history", **query))["items"]
        return found

    async def duty(self, ref: str) -> dict[str, Any] | None:
        """Return who is on call; None when nobody is known to be."""
        try:
            return await self.get("services", ref, "on-call")
        except UnansweredError as error:
            if error.title == "not-on-call":
                return None
            raise

    async def graph(self, service: str, direction: Direction, depth: int) -> dict[str, Any]:
        return await self.get("services", service, "dependencies", direction=direction, depth=depth)

    async def around(self, service: str, direction: Direction, *, depth: int, limit: int) -> dict[str, Any]:
        """Return the graph around *service* as it is told, and how fresh the service is."""
        graph, known = await asyncio.gather(
            self.graph(service, direction, depth),
            self.get("services", service, fields="source,synced_at,freshness"),
        )
        return {**answers.dependencies(graph, direction, limit), "direction": direction, **known}

    async def like(self, service: str) -> list[str]:
        """Return the references of services that have a word of *service*, those first that are most like it."""
        words = sorted(set(_WORD.findall(service.lower().rpartition("/")[2])), key=len)[-_WORDS_ASKED:]
        try:
            found = await asyncio.gather(
                *(self.get("services", q=word, limit=25, fields="entity_ref") for word in words)
            )
        except UnansweredError:
            return []
        return answers.nearest(service, {each["entity_ref"] for page in found for each in page["items"]})
