"""What is read from a request the same way everywhere: parameters nobody knows, cursors of lists, ETags."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar

from fastapi import Header, Query, Request
from fastapi.responses import Response

from mainstem.api.description import narrowable
from mainstem.api.fields import narrowed
from mainstem.api.problems import Problem
from mainstem.api.references import is_name, refuse_views
from mainstem.api.rendering import JsonAnswer, json_bytes

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=500, description="At most so many items.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.")]
Fields = Annotated[str | None, Query(description="Only these parts of the answer: `a,b.c`.")]
IfNoneMatch = Annotated[str | None, Header(description="The ETag of what is there already.")]

IfMatch = Annotated[str | None, Header(description="Do it only if what is there has this ETag; else 412.")]
IfAbsent = Annotated[
    str | None, Header(alias="if-none-match", description="`*`: do it only if nothing is there yet; else 412.")
]

_BIGGEST: Final = 2**63 - 1


async def only_known(request: Request) -> None:
    """Refuse a query parameter that the route does not have: a filter that is not heeded would widen the answer."""
    refuse_views(request)
    given = request.query_params.keys()
    if not given:
        return
    path, method = request.scope["route"].path_format, request.method.lower()
    operation = request.app.openapi()["paths"].get(path, {}).get(method, {})
    parameters = {each["name"]: each for each in operation.get("parameters", ()) if each["in"] == "query"}
    known = sorted(parameters)
    if unknown := sorted(given - set(known)):
        one_of = f"known are {', '.join(known)}" if known else "there are none here"
        raise Problem(400, "Bad request", f"unknown query parameter {unknown[0]!r}; {one_of}", unknown=unknown)
    for name in given:
        if len(request.query_params.getlist(name)) > 1 and parameters[name]["schema"].get("type") != "array":
            raise Problem(400, "Bad request", f"the query parameter {name!r} is given several times, and can be once")
    if asked := request.query_params.get("fields"):
        above, _, last = path.rpartition("/")
        # What ends as a view of an entity does may be the name of one, and is answered as that.
        _only_known_fields(asked, narrowable(request.app.openapi(), above if is_name(request, last) else path))


def _only_known_fields(asked: str, known: Collection[str]) -> None:
    """Refuse a part that the answer never has: without it the answer would look like one that has nothing there."""
    if unknown := sorted({each.strip().split(".")[0] for each in asked.split(",")}.difference(known)):
        told = f"fields: {unknown[0]!r} is no part of the answer; known are {', '.join(sorted(known))}"
        raise Problem(400, "Bad request", told, unknown=unknown)


def cursor_of(key: str) -> str:
    """Return the cursor of a page that ends with *key*."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def key_of(cursor: str | None) -> str | None:
    """Return the key that :func:`cursor_of` was given. Raises Problem 400."""
    if cursor is None:
        return None
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise foreign_cursor() from None


def number_of(cursor: str | None) -> int | None:
    """Return the number that :func:`cursor_of` was given. Raises Problem 400."""
    key = key_of(cursor)
    if key is None:
        return None
    if not (key.isascii() and key.isdigit() and len(key) <= len(str(_BIGGEST)) and int(key) <= _BIGGEST):
        raise foreign_cursor()
    return int(key)


def page_of(items: Sequence[T], key: Callable[[T], str], limit: int, cursor: str | None) -> tuple[list[T], str | None]:
    """Return one page of *items*, which are sorted by *key*, and the cursor of the next one."""
    after = key_of(cursor)
    rest = [each for each in items if after is None or key(each) > after]
    return rest[:limit], cursor_of(key(rest[limit - 1])) if len(rest) > limit else None


def single(
    body: Mapping[str, Any], fields: str | None, if_none_match: str | None, *, told: Mapping[str, Any] | None = None
) -> Response:
    """Answer one resource with a strong ETag over all of it, or 304 to whoever has it already.

    *told*: the resource without its age, which alone is no change.
    """
    # The same code makes it each time, so its keys are always in the same order.
    whole = json_bytes(body if told is None else told)
    etag = f'"{hashlib.sha256(whole).hexdigest()[:32]}"'
    if is_known(etag, if_none_match):
        return not_modified(etag)
    if told is None and not fields:
        return Response(whole, media_type=JsonAnswer.media_type, headers={"ETag": etag})
    return JsonAnswer(narrowed(dict(body), fields), headers={"ETag": etag})


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Whether *if_none_match*, a header as it came, names *etag*."""
    given = {each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")}
    return etag in given or "*" in given


def require_match(if_match: str, etag: str | None) -> None:
    """Raise Problem 412 unless *if_match*, a header as it came, names *etag*: of what is there, None = nothing."""
    given = {each.strip() for each in if_match.split(",")}
    if etag is None or not given & {etag, "*"}:
        told = "what is there has another ETag than If-Match names: look at it again"
        raise Problem(412, "Precondition failed", told if etag else "there is nothing yet")


def not_modified(etag: str) -> Response:
    return Response(status_code=304, headers={"ETag": etag})


def foreign_cursor() -> Problem:
    """Return what to raise for a cursor that no list gave."""
    return Problem(400, "Bad request", "cursor is none that a list gave")
