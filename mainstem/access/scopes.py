"""What a token allows."""

from typing import Final

from schemas.topics import CONNECTOR_ID

READ: Final = "read"
OVERRIDE: Final = "override"
OPERATE: Final = "operate"
PUBLISH: Final = "publish:"
MANUAL: Final = f"{PUBLISH}manual"

ALL: Final = frozenset({READ, OVERRIDE, OPERATE, MANUAL})
"""What whoever needs no token may do."""

_PLAIN: Final = (READ, OVERRIDE, OPERATE)
_SENTENCE: Final = "a scope is read, override, operate or publish:CONNECTOR"


def check(scope: str) -> str:
    """Return *scope*. Raises ValueError when it is none; what is published as `override` is the API's own affair."""
    connector = scope.removeprefix(PUBLISH)
    is_publish = scope.startswith(PUBLISH) and CONNECTOR_ID.fullmatch(connector) and connector != OVERRIDE
    if scope not in _PLAIN and not is_publish:
        raise ValueError(_SENTENCE)
    return scope
