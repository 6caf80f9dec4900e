"""What is answered to whoever published something."""

from typing import Annotated, Any

from fastapi import Query, Request

from mainstem.api.problems import Problem
from mainstem.publishing import Publishing, Said
from sources.publisher import Receipt

Wait = Annotated[bool, Query(description="Answer when what comes of it can be read, with that: 200; 504 after 10 s.")]


async def until_readable(request: Request, said: Said) -> None:
    """Return once what the merge made of *said* is in the tables. Raises Problem 504; the change stands."""
    if not await publishing(request).wait_until_readable(request.app.state.pool, said):
        told = "the change is published and stands; what comes of it cannot be read yet"
        raise Problem(504, "Gateway timeout", told, receipts=[shown(said.receipt)])


def shown(receipt: Receipt) -> dict[str, Any]:
    return {"topic": receipt.topic, "partition": receipt.partition, "offset": receipt.offset}


def publishing(request: Request) -> Publishing:
    found: Publishing = request.app.state.publishing
    return found
