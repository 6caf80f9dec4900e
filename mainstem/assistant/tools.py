"""The tools: each a question of an incident. Their docstrings are what the model reads, so they tell when to ask."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import orjson
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent
from pydantic import Field

from mainstem.assistant import answers
from mainstem.assistant.asking import Asking, UnansweredError
from mainstem.assistant.catalogue import Catalogue, Direction
from schemas.refs import EntityRef

Token = Callable[[Context], str | None]
"""Says with whose token a call is answered."""

Service = Annotated[
    str, Field(min_length=1, max_length=300, description="Name, reference such as component:default/pay, or id.")
]
Filter = Annotated[str | None, Field(max_length=300)]
Found = Annotated[int, Field(ge=1, le=25)]
Shown = Annotated[int, Field(ge=1, le=answers.MAX_NODES)]
Way = Annotated[
    Direction,
    Field(description="upstream: what it depends on; downstream: what depends on it."),
]

_ALL_STEPS: Final = 20


class Tools:
    """Bound to one API; *token* says whose token a call bears."""

    def __init__(self, asking: Asking, token: Token) -> None:
        self._asking = asking
        self._token = token

    async def find_services(
        self,
        context: Context,
        *,
        words: Annotated[str | None, Field(max_length=300, description="Words that its name or text has.")] = None,
        owner: Annotated[str | None, Field(max_length=300, description="Team: name, reference or id.")] = None,
        tier: Filter = None,
        kind: Annotated[str | None, Field(description="component, api, system or resource.")] = None,
        lifecycle: Filter = None,
        tag: Filter = None,
        limit: Found = 10,
        cursor: Annotated[str | None, Field(description="next_cursor of the answer before.")] = None,
    ) -> CallToolResult:
        """Find services by words, owner, tier, kind, lifecycle or tag; all that are given must hold.

        Ask this when you do not know a service's exact name. Each is told briefly, with owner, who is on call and how
        fresh that is; get_service_context tells more of one.
        """
        filters = {"owner": owner, "tier": tier, "kind": kind, "lifecycle": lifecycle, "tag": tag}
        catalogue = self._catalogue(context)
        try:
            found = await catalogue.get("services", q=words, limit=limit, cursor=cursor, **filters)
        except UnansweredError as error:
            raise ToolError(str(error)) from None
        items = [answers.brief(each) for each in found["items"]]
        return _result({"services": items, "next_cursor": found["next_cursor"]})

    async def get_service_context(self, context: Context, service: Service) -> CallToolResult:
        """Tell of one service what an incident needs first: what it is, owner and channel, who is on call, runbooks,
        what it depends on, what depends on it directly and how much altogether, what changed last, how fresh all that
        is, and who says it.

        Begin with this.
        """
        catalogue = self._catalogue(context)

        async def told() -> dict[str, Any]:
            found = await catalogue.get("services", service)
            ref = found["entity_ref"]
            duty, graph, entity, changes = await asyncio.gather(
                catalogue.duty(ref),
                catalogue.graph(ref, "downstream", _ALL_STEPS),
                catalogue.get("entities", ref, fields="merged_at,stale,provenance"),
                catalogue.changes(ref, limit=answers.MAX_CHANGES, fields="change,changed,connectors,at"),
            )
            return answers.context(found, duty, graph, entity, changes)

        return await _named(catalogue, service, told())

    async def get_dependencies(
        self,
        context: Context,
        service: Service,
        direction: Way = "upstream",
        depth: Annotated[int, Field(ge=1, le=20, description="How many steps to follow.")] = 1,
        limit: Shown = 50,
    ) -> CallToolResult:
        """List what a service depends on (upstream), or what depends on it (downstream), to a depth, the nearest first.

        Ask upstream for possible causes. `via` are the neighbours by which a service is reached, `is_critical` says
        that one of these steps is; `left_out` counts the services beyond the limit.
        """
        catalogue = self._catalogue(context)
        told = catalogue.around(service, direction, depth=depth, limit=limit)
        return await _named(catalogue, service, told)

    async def get_blast_radius(self, context: Context, service: Service, limit: Shown = 50) -> CallToolResult:
        """List all that may break with a service: everything that depends on it at any distance, the nearest first,
        with counts by distance and tier. `is_complete` is false where there is even more.
        """
        catalogue = self._catalogue(context)
        told = catalogue.around(service, "downstream", depth=_ALL_STEPS, limit=limit)
        return await _named(catalogue, service, told)

    async def get_on_call(self, context: Context, service: Service) -> CallToolResult:
        """Tell who is on call for a service now, until when, which connector says so, and whether its word is fresh.

        `on_call` is null when nobody is known to be: then ask the owner.
        """
        catalogue = self._catalogue(context)

        async def told() -> dict[str, Any]:
            found = await catalogue.get("services", service, fields="entity_ref,name,owner")
            return {**found, "on_call": await catalogue.duty(found["entity_ref"])}

        return await _named(catalogue, service, told())

    async def get_recent_changes(
        self,
        context: Context,
        service: Annotated[str | None, Field(max_length=300, description="Of one service; of all without it.")] = None,
        since: Annotated[
            str | None,
            Field(max_length=40, description="Only from then on, as 2026-11-20T09:30:00Z; not with a service."),
        ] = None,
        limit: Annotated[int, Field(ge=1, le=50)] = 20,
    ) -> CallToolResult:
        """List what changed in the catalogue, newest first: which fields, before and after, and from which connectors.

        Ask this for what may have caused an incident: a new owner, dependency or lifecycle. Deployments are not in it.
        """
        catalogue = self._catalogue(context)

        async def told() -> dict[str, Any]:
            if service is not None and since is not None:
                raise UnansweredError("since is not for one service: leave it out, and look at the times")
            if service is None:
                found = (await catalogue.get("history", since=since, limit=limit))["items"]
            else:
                named = service if ":" in service else await catalogue.ref(service)
                found = await catalogue.changes(named, limit=limit)
            return {"changes": [answers.change(each) for each in found]}

        return await _named(catalogue, service or "", told())

    async def explain(
        self,
        context: Context,
        service: Annotated[
            str, Field(min_length=1, max_length=300, description="A service, or any entity's reference.")
        ],
        field: Annotated[
            str | None,
            Field(
                max_length=300,
                description=f"{', '.join(answers.SAID_BY)}, or a JSON pointer such as /spec/owner; all without it.",
            ),
        ] = None,
    ) -> CallToolResult:
        """Tell why a field has its value: which connector won, which said something else, and why those lost.

        Ask this when an answer is doubted, or when systems disagree.
        """
        catalogue = self._catalogue(context)

        async def told() -> dict[str, Any]:
            named = service if ":" in service else await catalogue.ref(service)
            found = (await catalogue.get("entities", named, "explain"))["fields"]
            fields = found if field is None else answers.chosen(found, field)
            if not fields:
                there = ", ".join(sorted(found)[: answers.MAX_FIELDS])
                raise UnansweredError(f"no connector says anything about {field} of {named}; there are {there}")
            return {"entity_ref": str(EntityRef.parse(named)), **answers.explained(fields)}

        return await _named(catalogue, service, told())

    def all(self) -> tuple[Callable[..., Awaitable[CallToolResult]], ...]:
        return (
            self.find_services,
            self.get_service_context,
            self.get_dependencies,
            self.get_blast_radius,
            self.get_on_call,
            self.get_recent_changes,
            self.explain,
        )

    def _catalogue(self, context: Context) -> Catalogue:
        return Catalogue(self._asking, self._token(context))


async def _named(catalogue: Catalogue, service: str, told: Awaitable[dict[str, Any]]) -> CallToolResult:
    """Return what is *told* of *service*; a name that nobody or that several have is answered with candidates."""
    try:
        return _result(await told)
    except UnansweredError as error:
        candidates = list(error.candidates)
        if error.is_unknown:
            candidates = await catalogue.like(service)
        meant = f"; perhaps one of these is meant: {', '.join(candidates)}" if candidates else ""
        advice = "; find_services looks for words" if error.is_unknown and not meant else ""
        raise ToolError(f"{error}{meant}{advice}") from None


def _result(answer: dict[str, Any]) -> CallToolResult:
    """Return *answer* as text for a model and as structure for a program."""
    text = orjson.dumps(answer).decode()
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=answer)
