"""What a list of the catalogue can be narrowed by: the same everywhere."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel, Field

from mainstem.api.database import search
from mainstem.api.parameters import Cursor, Fields, Limit
from schemas.refs import DEFAULT_NAMESPACE

Many = Annotated[list[str] | None, Query()]
Kinds = Annotated[list[Annotated[str, Field(min_length=1)]] | None, Query()]


class Filters(BaseModel):
    """The query of a list: values of one filter are joined by "or", different filters by "and"."""

    limit: Limit = 50
    cursor: Cursor = None
    kind: Kinds = None
    owner: Many = None
    tier: Many = None
    lifecycle: Many = None
    tag: Many = None
    q: str | None = None
    fields: Fields = None

    async def parameters(self, request: Request, owners: Callable[[list[str]], list[str]]) -> dict[str, Any]:
        """Return the parameters of a statement that finds what is asked for; *owners* reads those of the filter."""
        return {
            "kinds": self.kind and lowered(self.kind),
            "owners": self.owner and owners(self.owner),
            "tiers": self.tier,
            "lifecycles": self.lifecycle,
            "tags": self.tag,
            **await search(request, self.q),
        }


Filtered = Annotated[Filters, Query()]


def lowered(values: list[str]) -> list[str]:
    return [value.lower() for value in values]


def owners_of(values: list[str]) -> list[str]:
    """An owner may be written as a reference or as the name of a group."""
    prefix = f"group:{DEFAULT_NAMESPACE}/"
    written = lowered(values)
    names = [value.removeprefix(prefix) for value in written]
    return sorted({*written, *names, *(prefix + name for name in names), *(f"group:{name}" for name in names)})
