"""What every answer tells a browser and the caches on the way: nothing here is a page, and nothing is for others."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

GUARDS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Kept by whoever asked alone, and compared by its ETag before it is used again.
    "cache-control": "private, no-cache",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_CDN: Final = "https://cdn.jsdelivr.net"
_PAGE: Final = (
    f"default-src 'none'; script-src {_CDN} 'unsafe-inline'; style-src {_CDN} 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: https://fastapi.tiangolo.com; frame-ancestors 'none'"
)
"""The one page that there is is Swagger UI, whose parts come from there."""


def _raw(headers: dict[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), value.encode()) for name, value in headers.items())


_OF_ALL: Final = _raw(GUARDS)
_OF_THE_PAGE: Final = _raw({**GUARDS, "content-security-policy": _PAGE})


class Guards:
    """Adds GUARDS to every answer. *page*: the path of the one page."""

    def __init__(self, app: ASGIApp, *, page: str) -> None:
        self._app = app
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                guards = _OF_THE_PAGE if scope["path"] == self._page else _OF_ALL
                message["headers"] = [*message["headers"], *(each for each in guards if each[0] not in given)]
            await send(message)

        await self._app(scope, receive, guarded)
