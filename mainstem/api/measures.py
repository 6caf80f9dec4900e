"""Every request is counted and timed, under its route's template: a path itself would be a series of its own."""

import time
from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.metrics import ApiMetrics

NO_ROUTE: Final = "none"
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


def begin(app: FastAPI) -> None:
    """Start the series of every route of *app*. Call when all of them are there."""
    for route, methods in app.openapi()["paths"].items():
        for method in methods:
            _metrics(app).begin(method.upper(), route)


class Measured:
    """Counts every answer; what nobody handled is a 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            # Anybody can send any method and any path.
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path_format", NO_ROUTE)
            _metrics(scope["app"]).answered(method, route, status, time.perf_counter() - began)


def _metrics(app: FastAPI) -> ApiMetrics:
    metrics: ApiMetrics = app.state.metrics
    return metrics
