"""What the OpenAPI document says beyond what FastAPI derives: every answer that can occur, with its media type."""

from collections.abc import Collection
from typing import Any, Final

from fastapi import FastAPI

from mainstem.access.scopes import READ

SCOPE: Final = "x-scope"
"""Under this name the document tells which scope an operation needs."""
PROBLEM_TYPE: Final = "application/problem+json"

_PROBLEM: Final = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 problem details; some kinds of problems have further members.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_MEANINGS: Final = {
    400: "A parameter is unknown, or its value cannot be used.",
    401: "The token is missing, unknown or no longer holds.",
    403: "The token lacks the scope that the operation names.",
    404: "Nothing is called that.",
    408: "The body took too long.",
    409: "It cannot be done as things stand.",
    412: "What is there has another ETag than `If-Match` names.",
    413: "The body is too large.",
    422: "The body is not what is asked for.",
    429: "As much is under way as may be; try again after `Retry-After` seconds.",
    503: "The database, or Kafka where something is to be published, does not answer.",
    504: "Kafka has the change, which stands; what comes of it cannot be read within 10 s.",
}
_ANYWHERE: Final = (400, 503)
_GUARDED: Final = (401, 403)
_WITH_BODY: Final = (408, 413)
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_DERIVED: Final = ("HTTPValidationError", "ValidationError")
_ETAG: Final = {"ETag": {"description": "Changes with the answer, ages left out.", "schema": {"type": "string"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that can end so; what any route can end with need not be named."""
    return {status: _problem(status) for status in statuses}


def answers(status: int, model: Any, meaning: str) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers a *model*."""
    return {status: {"model": model, "description": meaning}}


def resource(model: Any, meaning: str) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers one resource with an ETag."""
    unchanged = {"description": "It is as the ETag says.", "headers": _ETAG}
    return {200: {"model": model, "description": meaning, "headers": _ETAG}, 304: unchanged}


def described(meaning: str, example: Any, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that reads its body itself. *schema*: that of an object."""
    content = {"schema": schema or {"type": "object"}, "example": example}
    return {"requestBody": {"required": True, "description": meaning, "content": {"application/json": content}}}


def describe(app: FastAPI, *, has_tokens: bool) -> None:
    """Complete the OpenAPI document of *app*. Call when all routes are there.

    Raises ValueError for an operation that changes something and names no scope.
    """
    document = app.openapi()
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _DERIVED:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    if has_tokens:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method.upper() not in READS and SCOPE not in operation:
                raise ValueError(f"{method.upper()} {path} changes something and names no scope")
            operation.setdefault(SCOPE, READ)
            responses = operation["responses"]
            # FastAPI takes it that a parameter that cannot be read is 422 as well.
            if _DERIVED[0] in str(responses.get("422")):
                del responses["422"]
            with_body = _WITH_BODY if "requestBody" in operation else ()
            for status in (*_ANYWHERE, *(_GUARDED if has_tokens else ()), *with_body):
                responses[str(status)] = _problem(status)
            operation["responses"] = dict(sorted(responses.items()))
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])


def narrowable(document: dict[str, Any], path: str) -> Collection[str]:
    """Return the parts of what `GET` *path* answers, of a list those of its items; none where nothing is described."""
    told = document["paths"].get(path, {}).get("get", {}).get("responses", {}).get("200", {})
    parts = _parts(document, told.get("content", {}).get("application/json", {}).get("schema", {}))
    return _parts(document, parts["items"]["items"]) if "next_cursor" in parts else parts


def _parts(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"].get(name, schema).get("properties", {})
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* without the null that FastAPI allows where a parameter may be left out: none can be sent."""
    kept = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(kept) != 1:
        return schema
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **kept[0]}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _MEANINGS[status], "content": {PROBLEM_TYPE: {"schema": schema}}}
