"""HEAD is GET without what it answers: who only looks whether something is there, or still the same, asks so."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ENDLESS: Final = "/v1/events"
"""Its answer has no end, so nobody may ask for it without what it answers."""


class Heads:
    """Lets routes that know of GET alone answer HEAD. Outermost: what lies within sees a GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] == _ENDLESS:
            await self._app(scope, receive, send)
            return

        async def bare(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, bare)
