"""Writes `docs/reference/api.md`: `make generated`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mainstem.api.app import Settings, make_app
from mainstem.api.description import SCOPE

FILE: Final = Path(__file__).parent / "reference/api.md"
_HEAD: Final = """\
# HTTP API

Made from the OpenAPI document, which a running API answers at `/v1/openapi.json`, and as a page at `/v1/docs`.

- **Where.** `api.host` and `api.port`, by default `http://127.0.0.1:8080`.
- **Who.** `Authorization: Bearer TOKEN`, as [how to give access](../how-to/give-access.md) tells; without it 401, and
  403 where the token has not the scope of the path. `/livez`, `/readyz`, `/metrics` and the files for Backstage need
  none. Every path can answer so, 400 to a bad parameter and 503 while Postgres is away: the table leaves these out.
- **Lists** answer `{"items": [...], "next_cursor": "…"}`; the next page is asked for with `cursor`, until
  `next_cursor` is null. Each item comes once while others are written.
- **Single resources** have an `ETag`: with `If-None-Match` they are answered 304 while they are the same.
- **`fields=a,b.c`** narrows an answer to those parts, of a list each element; what lies within a part need not be
  there. A query parameter that a path does not have, one that is given twice where it counts once, and a part that
  the answer does not have, are refused with 400. Of entities, `fields=entity_ref,entity` answers the descriptors
  alone in less than half of the time.
- **Errors** are problem details (RFC 9457, `application/problem+json`): `type`, `title`, `status`, `detail`. A body
  over 1 MiB is answered 413, one of another shape 422. A 503 has `Retry-After`.
- **References** in a path are percent-encoded, in any case: `component%3Adefault%2Fpay`. Times are RFC 3339 with
  milliseconds and `Z`.

How connectors are steered with it: [steer-connectors.md](../how-to/steer-connectors.md).
"""
_ANYWHERE: Final = ("400", "401", "403", "503")
_METHODS: Final = ("get", "post", "put", "delete")


def reference() -> str:
    """Return the page."""
    document = make_app(Settings(dsn="")).openapi()
    return "\n".join([_HEAD, *_paths(document["paths"]), *_shapes(document["components"]["schemas"])])


def _paths(paths: Mapping[str, Any]) -> Iterator[str]:
    yield "## Paths\n"
    yield "| path | does | scope | query | answers |\n|---|---|---|---|---|"
    for path, operations in paths.items():
        for method in _METHODS:
            if method in operations:
                yield _row(f"{method.upper()} {path}", operations[method])
    yield ""


def _row(name: str, operation: Mapping[str, Any]) -> str:
    query = ", ".join(f"`{each['name']}`" for each in operation.get("parameters", ()) if each["in"] == "query")
    meaning = " ".join(operation["description"].split())
    answers = (_answer(each) for each in operation["responses"].items() if each[0] not in _ANYWHERE)
    return f"| `{name}` | {meaning} | {operation[SCOPE]} | {query} | {', '.join(answers)} |"


def _answer(answer: tuple[str, Mapping[str, Any]]) -> str:
    status, told = answer
    schema = told.get("content", {}).get("application/json", {}).get("schema")
    return f"{status} [{_type(schema)}](#shapes)" if schema else status


def _shapes(schemas: Mapping[str, Any]) -> Iterator[str]:
    yield "## Shapes\n"
    yield "| shape | fields |\n|---|---|"
    for name, schema in sorted(schemas.items()):
        fields = (f"`{field}`: {_type(each)}" for field, each in schema["properties"].items())
        yield f"| {name} | {', '.join(fields)} |"
    yield ""


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return "time" if schema.get("format") == "date-time" else str(schema.get("type", "anything"))


if __name__ == "__main__":
    FILE.write_text(reference())
