"""References in a path."""

import re
from typing import Final

from fastapi import HTTPException, Request

from mainstem.api.problems import Problem
from schemas.refs import EntityRef

_OUTSIDE: Final = re.compile(r"[^A-Za-z0-9:/._-]")


def parse_ref(text: str) -> EntityRef:
    """Raises Problem 400 with the position of the first fault."""
    try:
        return EntityRef.parse(text)
    except ValueError as error:
        outside = _OUTSIDE.search(text)
        position = outside.start() if outside else len(text)
        raise Problem(400, "Malformed reference", str(error), position=position) from None


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
