"""The routes of the API: none is answered before it is known that its caller may ask."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from mainstem.api import access
from mainstem.api.parameters import only_known


class Admitting(APIRoute):
    """Asks first what every route asks: as a dependency of FastAPI that would cost more than what it does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answered = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            await only_known(request)
            await access.authorise(request)
            return await answered(request)

        return admitted
