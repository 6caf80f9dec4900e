"""From OpenChoreo's objects to Backstage's: a Domain, a System, a Component and its APIs, named as OpenChoreo's
own provider for Backstage names them.

What OpenChoreo does not know is left out: another connector may bring it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Object = Mapping[str, Any]
"""One object of the API."""
Change = dict[str, Any]

PREFIX: Final = "openchoreo.io/"
_API_TYPES: Final = {"graphql": "graphql", "grpc": "grpc", "websocket": "asyncapi"}
_NO_TAG: Final = re.compile(r"[^a-z0-9:+#]+")


def text(of: object, *path: str) -> str:
    """Return the text at *path*, empty where there is none."""
    for key in path:
        of = of.get(key) if isinstance(of, Mapping) else None
    return of if isinstance(of, str) else ""


def name_of(found: Object) -> str:
    """Return the name, empty where it is missing or can be part of no path: Postgres holds neither NUL nor halves of
    characters, and names make the cursor.
    """
    name = text(found, "name")
    return "" if "/" in name or not name.isprintable() else name


class Translator:
    """*namespace*: that of every entity; None: what belongs to an organisation is in a namespace named after it."""

    def __init__(self, namespace: str | None, owner: str | None) -> None:
        self._namespace = namespace
        self._owner = {"owner": owner} if owner else {}

    def changes(self, found: Object, phase: str, scope: str) -> Iterator[Change]:
        """Yield what *found* becomes, an element of a list of the phase *phase* that belongs to *scope*."""
        if phase == "orgs":
            yield self._organisation(found)
        elif phase == "projects":
            yield self._project(found, scope)
        else:
            yield from self._component(found, scope)

    def _organisation(self, found: Object) -> Change:
        annotations = {
            "organization": name_of(found),
            "namespace": text(found, "namespace"),
            "created-at": text(found, "createdAt"),
            "status": text(found, "status"),
        }
        metadata = _metadata(found, self._namespace or "default", annotations, ["organization"])
        return _change("Domain", metadata, self._owner)

    def _project(self, found: Object, org: str) -> Change:
        annotations = {
            "project-id": name_of(found),
            "project-uid": text(found, "uid"),
            "organization": org,
            "created-at": text(found, "createdAt"),
            "status": text(found, "status"),
        }
        metadata = _metadata(found, self._namespace or org, annotations, ["project"])
        return _change("System", metadata, {**self._owner, "domain": f"{self._namespace or 'default'}/{org}"})

    def _component(self, found: Object, scope: str) -> Iterator[Change]:
        """Yield the component of the project *scope* (`organisation/project`), then each API that it provides."""
        org, _, project = scope.partition("/")
        name, kind = name_of(found), text(found, "type")
        repository = ("componentWorkflow", "systemParameters", "repository")
        belongs = {"component": name, "project": project, "organization": org}
        annotations = {
            **belongs,
            "component-uid": text(found, "uid"),
            "component-type": kind,
            "created-at": text(found, "createdAt"),
            "status": text(found, "status"),
            "branch": text(found, "branch") or text(found, *repository, "revision", "branch"),
        }
        metadata = _metadata(found, self._namespace or org, annotations, ["component", kind])
        if url := text(found, "repositoryUrl") or text(found, *repository, "url"):
            metadata["annotations"]["backstage.io/source-location"] = f"url:{url}"
        lives = {"lifecycle": text(found, "status").lower()} if text(found, "status") else {}
        spec = {**self._owner, **lives, "system": project}
        typed = {"type": "website" if kind == "WebApplication" else kind.lower()} if kind else {}
        endpoints = _objects(found.get("workload"), "endpoints")
        relations = {
            "providesApis": [f"{name}-{endpoint}" for endpoint in sorted(endpoints)],
            "consumesApis": sorted(set(_consumed(found))),
        }
        yield _change(
            "Component", metadata, {**spec, **typed, **{key: held for key, held in relations.items() if held}}
        )
        for endpoint in sorted(endpoints):
            yield self._api(name, endpoint, endpoints[endpoint], belongs, spec)

    def _api(self, component: str, name: str, endpoint: Object, belongs: Mapping[str, str], spec: Object) -> Change:
        kind, port = text(endpoint, "type"), endpoint.get("port")
        annotations = {
            **belongs,
            "endpoint-name": name,
            "endpoint-type": kind,
            "endpoint-port": str(port) if isinstance(port, int) else "",
        }
        titled = {"name": f"{component}-{name}", "displayName": f"{component} {name} API"}
        metadata = _metadata(titled, self._namespace or belongs["organization"], annotations, ["api", kind])
        content = text(endpoint, "schema", "content")
        defined = {"definition": content} if content else {}
        return _change("API", metadata, {**spec, "type": _API_TYPES.get(kind.lower(), "openapi"), **defined})


def _consumed(component: Object) -> Iterator[str]:
    """Yield the APIs that the workload is connected to."""
    for connection in _objects(component.get("workload"), "connections").values():
        other, endpoint = text(connection, "params", "componentName"), text(connection, "params", "endpoint")
        if other and endpoint:
            yield f"{other}-{endpoint}"


def _objects(of: object, key: str) -> dict[str, Object]:
    held = of.get(key) if isinstance(of, Mapping) else None
    return {name: each for name, each in held.items() if isinstance(each, Mapping)} if isinstance(held, Mapping) else {}


def _metadata(found: Object, namespace: str, annotations: Mapping[str, str], tags: list[str]) -> dict[str, Any]:
    said = {"title": text(found, "displayName"), "description": text(found, "description")}
    return {
        "name": text(found, "name"),
        "namespace": namespace,
        **{key: value for key, value in said.items() if value},
        "tags": ["openchoreo", *(tag for each in tags if (tag := _NO_TAG.sub("-", each.lower()).strip("-")))],
        "labels": {f"{PREFIX}managed": "true"},
        "annotations": {f"{PREFIX}{key}": value for key, value in annotations.items() if value},
    }


def _change(kind: str, metadata: Object, spec: Object) -> Change:
    return {"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}}
