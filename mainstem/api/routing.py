"""The routes of the API: none is answered before it is known that its caller may ask."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

from mainstem.api import access
from mainstem.api.parameters import only_known


class Admitting(APIRoute):
    """Before parameters and body are read, refuses what the route does not know and callers without its scope (Problem
    400 and 403, HTTPException 405 for views), and begins the row of the log of what is changed.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answered = super().get_route_handler()

        # Not a dependency of FastAPI: to solve one costs more than what is asked here.
        async def admitted(request: Request) -> Response:
            await only_known(request)
            await access.authorise(request)
            return await answered(request)

        return admitted


def refuse_unadmitting(app: FastAPI) -> None:
    """Raise ValueError where a route of *app* admits anybody. Call when all of them are there."""
    routes = [route for route in app.routes if isinstance(route, APIRoute) and not isinstance(route, Admitting)]
    if routes:
        raise ValueError(f"{routes[0].path} admits anybody: its router needs route_class=Admitting")
