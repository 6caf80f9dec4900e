"""A server that answers as OpenChoreo's API does: organisations, projects and components in lists paged by cursors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from tests.source_server import Reply, Request, SourceServer, as_json, source_server

API = "/api/v1"


class OpenChoreo:
    """Holds what was put in, in the order of names; every list has a cursor, and every answer a number in *failing*."""

    def __init__(self, server: SourceServer) -> None:
        self.server = server
        self.base_url = f"{server.url}{API}"
        self.token: str | None = None
        self.refused: dict[str, int] = {}
        """Paths below the API that are answered with a status."""
        self.failing: Callable[[str], bool] = lambda _: False
        """Asked with every path and its cursor: whether the server fails."""
        self.spoil: Callable[[dict[str, Any]], object] = lambda answer: answer
        """Makes another answer of each list's."""
        self._lists: dict[str, dict[str, dict[str, Any]]] = {"/orgs": {}}
        server.serve(f"{API}/", self._answer)

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for, each with its cursor, in order."""
        return [_told(request) for request in self.server.asked]

    def put_org(self, name: str, **fields: Any) -> str:
        self._lists["/orgs"][name] = {"name": name, "namespace": name, "createdAt": "2026-01-01T00:00:00Z", **fields}
        self._lists.setdefault(f"/orgs/{name}/projects", {})
        return f"domain:default/{name}"

    def put_project(self, org: str, name: str, **fields: Any) -> str:
        self._lists[f"/orgs/{org}/projects"][name] = {"uid": f"u-{name}", "name": name, "orgName": org, **fields}
        self._lists.setdefault(f"/orgs/{org}/projects/{name}/components", {})
        return f"system:{org}/{name}"

    def put_component(self, org: str, project: str, name: str, **fields: Any) -> list[str]:
        """*endpoints*, where given, are told only by the component's own address, as the real server does."""
        held = {"uid": f"u-{name}", "name": name, "type": "Service", "projectName": project, "orgName": org, **fields}
        self._lists[f"/orgs/{org}/projects/{project}/components"][name] = held
        endpoints = held.get("workload", {}).get("endpoints", {})
        return [f"component:{org}/{name}", *(f"api:{org}/{name}-{endpoint}" for endpoint in endpoints)]

    def remove(self, path: str) -> None:
        """Take the element at *path* out of its list, with all that is below it."""
        parent, _, name = path.rpartition("/")
        del self._lists[parent][name]
        for below in [each for each in self._lists if each.startswith(f"{path}/")]:
            del self._lists[below]

    def _answer(self, request: Request) -> Reply:
        path = unquote(request.path).removeprefix(API)
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            return as_json({"success": False, "error": "unknown", "code": "UNAUTHORIZED"}, status=401)
        if path in self.refused:
            return as_json({"success": False, "error": "canary-of-the-answer"}, status=self.refused[path])
        if self.failing(_told(request)):
            return as_json({"success": False, "error": "canary-of-the-answer"}, status=500)
        parent, _, name = path.rpartition("/")
        if path in self._lists:
            return self._list(path, request)
        if name in self._lists.get(parent, {}):
            return as_json({"success": True, "data": self._lists[parent][name]})
        return as_json({"success": False, "error": "not found", "code": "NOT_FOUND"}, status=404)

    def _list(self, path: str, request: Request) -> Reply:
        names, limit, after = sorted(self._lists[path]), int(request.params["limit"]), request.params.get("cursor", "")
        if not 1 <= limit <= 100:
            return as_json({"success": False, "error": "limit"}, status=400)
        rest = [name for name in names if f"after-{name}" > after]
        items = [
            {key: value for key, value in self._lists[path][name].items() if key != "workload"} for name in rest[:limit]
        ]
        more = f"after-{rest[limit - 1]}" if len(rest) > limit else None
        data = {"items": items, "totalCount": len(names), "page": 1, "pageSize": limit, "nextCursor": more}
        return as_json(self.spoil({"success": True, "data": data}))


@contextmanager
def openchoreo() -> Iterator[OpenChoreo]:
    with source_server() as server:
        yield OpenChoreo(server)


def _told(request: Request) -> str:
    return f"{unquote(request.path).removeprefix(API)}?{request.params.get('cursor', '')}"
