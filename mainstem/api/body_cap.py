"""No body is read beyond a size, nor waited for beyond a time: it is held whole before anybody looks at it."""

import asyncio
from typing import Final

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES: Final = 1_048_576
"""Room for a change, which has at most 1,000,000 bytes."""
SECONDS: Final = 30.0
"""So long a body may take, from its first part to its last."""


class BodyCap:
    """Answers 413 to whoever sends more than MAX_BYTES, whatever the length that was announced, and 408 to whoever
    takes longer than SECONDS.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken, is_whole = 0, False
        until = asyncio.get_running_loop().time() + SECONDS

        async def counted() -> Message:
            nonlocal taken, is_whole
            try:
                # Once it is there, whoever waits for more wants to know when the caller goes away.
                async with asyncio.timeout_at(None if is_whole else until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the body took longer than {SECONDS:.0f} seconds") from None
            is_whole = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > MAX_BYTES:
                raise HTTPException(413, f"the body has more than {MAX_BYTES} bytes")
            return message

        await self._app(scope, counted, send)
