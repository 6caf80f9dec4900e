"""What a list of the catalogue can be narrowed by: the same everywhere."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query, Request
from pydantic import BaseModel, Field

from mainstem.api.database import ask, search
from mainstem.api.parameters import Cursor, Fields, Limit
from schemas.refs import EntityRef

_TEAM: Final = "group"

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
    q: Many = None
    fields: Fields = None

    async def parameters(self, request: Request) -> dict[str, Any]:
        """Return the parameters of a statement that finds what is asked for."""
        owners = self.owner and await _owners(request, self.owner)
        return {
            "kinds": self.kind and _lowered(self.kind),
            "owners": owners,
            "spelled_owners": owners and sorted(set(_spelled(owners))),
            "tiers": self.tier,
            "lifecycles": self.lifecycle,
            "tags": self.tag,
            **await search(request, self.q),
        }


Filtered = Annotated[Filters, Query()]


def _lowered(values: Iterable[str]) -> list[str]:
    return [value.lower() for value in values]


async def _owners(request: Request, values: Iterable[str]) -> list[str]:
    """Return what the owner of a service may be: references, names without their namespace, and ids of teams. A team is
    found by its displayed name, too.
    """
    found = {_owner(value) for value in values}
    if unknown := [each for each in found if ":" not in each]:
        found |= {row["entity_ref"] for row in await ask(request, "teams_called", texts=unknown)}
    return sorted(found)


def _owner(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        pass
    try:
        return str(EntityRef.parse(text, kind=_TEAM)) if ":" in text or "/" in text else text.lower()
    except ValueError:
        return text.lower()


def _spelled(owners: Iterable[str]) -> Iterator[str]:
    """Yield how an entity may have written these owners, lower-cased: as it stands, or behind the namespace that it has
    when it leaves the owner's out.
    """
    for owner in owners:
        yield owner
        kind, colon, rest = owner.partition(":")
        namespace, slash, name = rest.partition("/")
        if not (colon and slash):
            continue
        yield f"{namespace} {kind}:{name}"
        if kind == _TEAM:
            yield from (rest, f"{namespace} {name}")
