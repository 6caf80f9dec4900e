"""Type `openchoreo`: organisations, their projects, their components and the APIs of these, from OpenChoreo's API.

```yaml
connection:
  base_url: https://openchoreo.acme.com/api/v1   # with the API's path; also as baseUrl
  token: {secret_ref: env:OPENCHOREO_TOKEN}      # absent: nobody is asked who we are
  namespace: default                             # of every entity; absent: that of an organisation is named after it
  owner: group:default/platform                  # of every entity; absent: another connector says who owns what
```

Three phases, as in OpenChoreo's provider for Backstage: all organisations, then the projects of each, then the
components of each. The server must page by cursors.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import quote

from schemas.errors import (
    AccessDeniedError,
    ConfigError,
    CursorExpiredError,
    EndlessSourceError,
    NotFoundError,
    UnreadableAnswerError,
)
from sources.base import Cursor, Item, Page, Refused, Source, SourceSettings
from sources.connection import auth_headers, base_url, refuse_unknown
from sources.http import HttpClient
from sources.openchoreo_entities import Object, Translator, name_of, text

MOST_PER_PAGE: Final = 100
"""OpenChoreo refuses a larger `limit`."""
ASKED_AT_ONCE: Final = 5
"""The list of components leaves out what a service offers: each is asked for, so many at a time."""
KNOWN: Final = {"base_url", "baseUrl", "token", "namespace", "owner"}

_EXPIRED: Final = frozenset({410})


class OpenChoreoSource(Source):
    """Everything that the token may read."""

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        said, where = settings.connection, f"connector {settings.connector}: connection"
        refuse_unknown(said, KNOWN, where)
        self._base_url = base_url(settings, "baseUrl" if "baseUrl" in said else "base_url")
        self._headers = auth_headers(replace(settings, connection=_auth(said.get("token"), where)))
        self._limit = min(settings.chunk_size, MOST_PER_PAGE)
        for key in ("namespace", "owner"):
            if not isinstance(said.get(key, "x"), str) or not said.get(key, "x"):
                raise ConfigError(f"{where}.{key} must be a text")
        self._translator = Translator(said.get("namespace"), said.get("owner"))

    async def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page]:
        """Yield a page for each page of a list that holds something, and for each list that cannot be read."""
        at = Position.of(cursor)
        async with HttpClient(self._base_url, retry=self.settings.retry, headers=self._headers) as client:
            while not at.is_end:
                page, at = await self._next(client, at)
                if page.items or page.refused or page.unread or at.api_cursor is not None:
                    yield replace(page, cursor=at.cursor())

    async def _next(self, client: HttpClient, at: "Position") -> tuple[Page, "Position"]:
        """Read the next page of the list that *at* stands in; return what it holds and where to go on."""
        scope, path = at.scope, at.path
        try:
            found, after = await self._listed(client, path, at.api_cursor)
            named = [each for each in found if name_of(each)]
            nameless = [
                Refused(place=path, reason="the name is missing, or holds what no name may", scope=scope)
                for _ in range(len(found) - len(named))
            ]
            page = await self._translated(client, at, named)
        except (AccessDeniedError, NotFoundError) as error:
            if not scope:
                raise
            return Page(unread={scope: await self._unread(client, error)}), at.after([], None)
        return replace(page, refused=nameless), at.after([name_of(each) for each in named], after)

    async def _listed(self, client: HttpClient, path: str, cursor: str | None) -> tuple[list[Object], str | None]:
        """Return the elements of one page of a list, and the cursor of the next one."""
        params: dict[str, str | int] = {"limit": self._limit, **({"cursor": cursor} if cursor else {})}
        data = await _data(client, path, params)
        if "nextCursor" not in data:
            raise UnreadableAnswerError(
                f"{self._base_url}{path} answered with a page that has no nextCursor: the connector needs an OpenChoreo"
                " whose lists are paged by cursors (`limit`, `cursor` and `nextCursor`); upgrade it"
            )
        items, after = data.get("items"), data.get("nextCursor") or None
        items = [] if items is None else items
        if not isinstance(items, list) or not isinstance(after, str | None):
            raise UnreadableAnswerError(f"{self._base_url}{path} answered with a page whose items are no list")
        if after is not None and after == cursor:
            raise EndlessSourceError(f"{self._base_url}{path} answered with the cursor that it was asked with")
        return [each if isinstance(each, Mapping) else {} for each in items], after

    async def _translated(self, client: HttpClient, at: "Position", found: Sequence[Object]) -> Page:
        unread: dict[str, str] = {}
        if at.phase == "components":
            found = await self._complete(client, at, found, unread)
        items = [
            Item(
                place=f"{self._base_url}{at.path}/{name_of(each)}",
                scope=f"{at.scope}/{name_of(each)}".removeprefix("/"),
                change=change,
            )
            for each in found
            for change in self._translator.changes(each, at.phase, at.scope)
        ]
        return Page(items=items, unread=unread)

    async def _complete(
        self, client: HttpClient, at: "Position", found: Sequence[Object], unread: dict[str, str]
    ) -> list[Object]:
        """Return the components with their workloads. Those that cannot be had are as the list shows them, *unread*."""

        async def complete(component: Object) -> Object:
            if "workload" in component or "service" not in text(component, "type").lower():
                return component
            path = f"{at.path}/{quote(name_of(component), safe='')}"
            try:
                return {**component, **await _data(client, path, {"include": "workload"})}
            except (AccessDeniedError, NotFoundError) as error:
                unread[f"{at.scope}/{name_of(component)}"] = await self._unread(client, error)
                return component

        completed: list[Object] = []
        for begin in range(0, len(found), ASKED_AT_ONCE):
            asked = [complete(each) for each in found[begin : begin + ASKED_AT_ONCE]]
            # One that fails must not leave the others running.
            for answer in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(answer, BaseException):
                    raise answer
                completed.append(answer)
        return completed

    async def _unread(self, client: HttpClient, error: AccessDeniedError | NotFoundError) -> str:
        """Return why a scope was not read. Raises AccessDeniedError if it is the token that is refused everywhere."""
        if isinstance(error, AccessDeniedError):
            await _data(client, "/orgs", {"limit": 1})
        return str(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a run stands: in which list, and which lists are still to be read. It is what is saved as the cursor."""

    phase: str = "orgs"
    api_cursor: str | None = None
    """OpenChoreo's own cursor within the list."""
    orgs: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    """As `organisation/project`."""
    place: int = 0
    """In the queue of the phase: the organisations, then the projects."""

    @classmethod
    def of(cls, cursor: Cursor | None) -> Self:
        """Raises CursorExpiredError for a cursor of another version."""
        if cursor is None:
            return cls()
        phase = cursor.get("phase")
        if phase not in _SAVED:
            raise CursorExpiredError("the saved cursor is not one of this version: the run begins anew")
        api_cursor, place = _SAVED[phase]
        at = cls(
            phase=phase,
            api_cursor=cursor.get(api_cursor),
            orgs=tuple(cursor.get("orgQueue", ())),
            projects=tuple(cursor.get("projectQueue", ())),
            place=cursor.get(place, 0),
        )
        if at.place > len(at._queue):
            raise CursorExpiredError("the saved cursor stands behind its own queue: the run begins anew")
        return at

    def cursor(self) -> Cursor:
        """Return what :meth:`of` reads: names and numbers alone, and each queue only for as long as it is needed."""
        api_cursor, place = _SAVED[self.phase]
        said = {
            "phase": self.phase,
            api_cursor: self.api_cursor,
            "orgQueue": list(self.orgs),
            "projectQueue": list(self.projects),
            place: self.place,
        }
        return {key: value for key, value in said.items() if value}

    @property
    def is_end(self) -> bool:
        return self.phase == "components" and self.place >= len(self.projects)

    @property
    def scope(self) -> str:
        """What the list belongs to: nothing, an organisation, or a project of one."""
        return self._queue[self.place]

    @property
    def _queue(self) -> tuple[str, ...]:
        return {"orgs": ("",), "projects": self.orgs, "components": self.projects}[self.phase]

    @property
    def path(self) -> str:
        org, _, project = (quote(name, safe="/") for name in self.scope.partition("/"))
        return {
            "orgs": "/orgs",
            "projects": f"/orgs/{org}/projects",
            "components": f"/orgs/{org}/projects/{project}/components",
        }[self.phase]

    def after(self, names: Sequence[str], api_cursor: str | None) -> "Position":
        """Return the place after a page that held *names*; *api_cursor* is that of the next page of the same list."""
        moved = replace(self, api_cursor=api_cursor, place=self.place + (api_cursor is None))
        if self.phase == "orgs":
            moved = replace(moved, orgs=(*self.orgs, *names))
        elif self.phase == "projects":
            moved = replace(moved, projects=(*self.projects, *(f"{self.scope}/{name}" for name in names)))
        if moved.phase == "orgs" and moved.place:
            moved = replace(moved, phase="projects", place=0)
        if moved.phase == "projects" and moved.place >= len(moved.orgs):
            moved = replace(moved, phase="components", place=0, orgs=())
        return moved


_SAVED: Final = {
    "orgs": ("orgApiCursor", "currentOrgIndex"),
    "projects": ("projectApiCursor", "currentOrgIndex"),
    "components": ("componentApiCursor", "currentProjectIndex"),
}
"""The names under which the server's cursor and the place in the queue are saved, in each phase."""


async def _data(client: HttpClient, path: str, params: Mapping[str, str | int]) -> Object:
    answer = (await client.get(path, params, expired=_EXPIRED)).json_object()
    data = answer.get("data")
    if answer.get("success") is not True or not isinstance(data, Mapping):
        raise UnreadableAnswerError(f"{path} answered without success, or without data: is base_url the API's address?")
    return data


def _auth(token: object, where: str) -> Object:
    if token is None:
        return {}
    ref = token.get("secret_ref") if isinstance(token, Mapping) and set(token) == {"secret_ref"} else None
    if not isinstance(ref, str) or not ref:
        raise ConfigError(f"{where}.token must say where the token is, such as {{secret_ref: env:OPENCHOREO_TOKEN}}")
    return {"auth": {"type": "bearer_token", "secret_ref": ref}}
