"""References in a path."""

import re
from typing import Final

from fastapi import Request

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


def is_name(request: Request, last: str) -> bool:
    """Whether *last*, the end of the path, belongs to an encoded reference: an entity may be called so."""
    raw: bytes = request.scope.get("raw_path") or b""
    return raw.lower().endswith(f"%2f{last}".encode())
