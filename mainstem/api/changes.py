"""Bodies that become changes: read as the processor reads them, and refused with every fault by its JSON pointer."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Request

from mainstem.api.problems import Problem
from schemas.canonical import parse_json
from schemas.errors import DecodeError, ValidationError
from sources.publisher import Draft, draft


async def object_of(request: Request) -> dict[str, Any]:
    """Return the body, a JSON object that everything downstream can hold. Raises Problem 422."""
    try:
        found = parse_json(await request.body())
    except DecodeError as error:
        raise unprocessable(error) from None
    if not isinstance(found, dict):
        raise refused([("", "the body must be an object")])
    return found


def drafted(document: Mapping[str, Any], connector: str, tenant: str, *, below: str = "") -> Draft:
    """Return *document*, a change, ready to be sent. Raises Problem 422.

    *below*: where in the change the body stands; faults are told by where they are in the body.
    """
    try:
        return draft({**document, "tenant": tenant}, connector, tenant=tenant)
    except (ValidationError, DecodeError) as error:
        raise unprocessable(error, below=below) from None


def unprocessable(error: ValidationError | DecodeError, *, below: str = "") -> Problem:
    """Return what is answered to a change that the processor would refuse with *error*."""
    if isinstance(error, ValidationError):
        within = f"{below}/" if below else ""
        return refused((at.removeprefix(below) if at.startswith(within) else at, why) for at, why in error.faults)
    return Problem(422, "Unprocessable content", str(error), faults=[{"at": "", "reason": str(error)}])


def refused(faults: Iterable[tuple[str, str]]) -> Problem:
    """Return what is answered to a body that breaks rules: (JSON pointer, sentence) of each."""
    told = list(faults)
    rows = [{"at": at, "reason": reason} for at, reason in told]
    return Problem(422, "Unprocessable content", str(ValidationError(*told)), faults=rows)
