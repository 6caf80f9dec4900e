"""References in a path."""

import re
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from fastapi import HTTPException, Request
from starlette.convertors import PathConvertor, register_url_convertor

from mainstem.api.problems import Problem
from schemas.refs import KIND, NAME, NAMESPACE, EntityRef

# Not `str.lower`, by which some letters become ASCII.
_LOWERED: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


class _RefConvertor(PathConvertor):
    """The rest of a path, whatever it holds: that it is no reference is told by whoever reads it."""

    regex = "(?s:.*)"


register_url_convertor("ref", _RefConvertor())


def parse_ref(text: str) -> EntityRef:
    """Raises Problem 400 with the position of the first fault."""
    try:
        return EntityRef.parse(text)
    except ValueError as error:
        raise Problem(400, "Malformed reference", str(error), position=_fault(text)) from None


def _fault(text: str) -> int:
    """Return where what could have become a reference cannot any more; the end where something is missing there."""
    kind, colon, rest = text.partition(":") if ":" in text else ("", "", text)
    namespace, slash, name = rest.partition("/")
    start = len(kind) + len(colon)
    parts = [(0, kind, KIND)] if colon else []
    parts += [(start, namespace, NAMESPACE)] if slash else []
    parts.append((start + len(namespace + slash), name, NAME) if slash else (start, rest, NAME))
    for begin, part, pattern in parts:
        lowered = part.translate(_LOWERED)
        if not pattern.fullmatch(lowered):
            return begin + _reach(lowered, pattern)
    return len(text)


def _reach(part: str, pattern: re.Pattern[str]) -> int:
    """Return how much of *part* could be the beginning of what *pattern* matches."""
    reach = 0
    while reach < len(part) and any(pattern.fullmatch(part[: reach + 1] + more) for more in ("", "a")):
        reach += 1
    return reach


VIEWS: Final = ("explain", "history", "records")
"""What is read of an entity below its own path."""


def refuse_views(request: Request) -> None:
    """Raise 405 where the path of a view is to be changed, or that of overrides to be read: any path below an entity or
    a service could be a reference.
    """
    path: str = request.scope["path"]
    last = path.rpartition("/")[2]
    if request.method == "GET":
        if path.startswith("/v1/services/") and last == "override" and not is_name(request, last):
            raise HTTPException(405, "it can be written alone", headers={"Allow": "DELETE, POST"})
    elif path.startswith("/v1/entities/") and last in VIEWS and not is_name(request, last):
        raise HTTPException(405, "it can be read alone", headers={"Allow": "GET"})


def is_name(request: Request, last: str) -> bool:
    """Whether *last*, the end of the path, belongs to an encoded reference: an entity may be called so."""
    raw: bytes = request.scope.get("raw_path") or b""
    return raw.lower().endswith(f"%2f{last}".encode())


def name_of(ref: str) -> str:
    """Return the name in a reference, or the words that are none."""
    return ref.rpartition("/")[2] if ":" in ref else ref
