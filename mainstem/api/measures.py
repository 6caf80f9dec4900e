"""Every request is counted and timed, under its route's template: a path itself would be a series of its own."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI, Request, Response

from schemas.metrics import ApiMetrics

NO_ROUTE: Final = "none"
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


def begin(app: FastAPI) -> None:
    """Start the series of every route of *app*. Call when all of them are there."""
    for route, methods in app.openapi()["paths"].items():
        for method in methods:
            _metrics(app).begin(method.upper(), route)


async def measure(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
    """Count the answer to *request*; what nobody handled is a 500."""
    began, status = time.perf_counter(), 500
    try:
        response = await proceed(request)
        status = response.status_code
    finally:
        metrics = _metrics(request.app)
        # Anybody can send any method and any path.
        method = request.method if request.method in _METHODS else "other"
        route = getattr(request.scope.get("route"), "path_format", NO_ROUTE)
        metrics.requests.labels(method, route, status).inc()
        metrics.request_seconds.labels(method, route).observe(time.perf_counter() - began)
    return response


def _metrics(app: FastAPI) -> ApiMetrics:
    metrics: ApiMetrics = app.state.metrics
    return metrics
