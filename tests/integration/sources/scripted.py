"""A source whose system is a dictionary in this process, and that fails where it is told to."""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from sources.base import Cursor, Item, Page, Source, SourceSettings


def component(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-pay", **spec},
    }


def many(count: int) -> dict[str, dict[str, Any]]:
    return {f"c-{number:05}": component(f"c-{number:05}") for number in range(count)}


class Scripted(Source):
    """Pages of *size* of *system*, name → entity, in the order of the names.

    *before* is called with the number of each page, from 0, before it is given: it may raise. *scopes* maps a name to
    its scope; *unread*, *total* and *refused* are said on the first page.
    """

    def __init__(self, system: Mapping[str, Mapping[str, Any]], size: int = 10) -> None:
        super().__init__(SourceSettings(connector="scripted", chunk_size=size))
        self.system = system
        self.before: Callable[[int], None] = lambda _: None
        self.scopes: Mapping[str, str] = {}
        self.first: dict[str, Any] = {}
        self.asked: list[Cursor | None] = []

    async def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page]:
        self.asked.append(cursor)
        names, size = sorted(self.system), self.settings.chunk_size
        begin = 0 if cursor is None else cursor["next"]
        for start in range(begin, max(len(names), 1), size):
            self.before(start // size)
            said = self.first if start == 0 else {}
            chunk = names[start : start + size]
            items = [
                Item(place=name, change={"entity": self.system[name]}, scope=self.scopes.get(name, ""))
                for name in chunk
            ]
            yield Page(items=items, cursor={"next": start + size}, **said)
