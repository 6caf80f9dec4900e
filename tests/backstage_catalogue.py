"""A Backstage catalogue as `GET /api/catalog/entities/by-query` shows it, on a server that tests can spoil."""

import base64
import copy
import json
from collections.abc import Callable, Iterable

from tests.source_server import Reply, Request, SourceServer, as_json

LIST = "/api/catalog/entities/by-query"


def component(number: int, **annotations: str) -> dict:
    """Return an entity with everything that Backstage adds to one."""
    name = f"pay-{number:04}"
    return {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": f"00000000-0000-4000-8000-{number:012}",
            "etag": f"{number:040x}",
            "generation": 1,
            "annotations": {
                "backstage.io/managed-by-location": "url:https://git.acme.com/pay/catalog-info.yaml",
                "backstage.io/managed-by-origin-location": "url:https://git.acme.com/pay/catalog-info.yaml",
                **annotations,
            },
        },
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-pay"},
        "relations": [
            {"type": "ownedBy", "targetRef": "group:default/team-pay"},
            {"type": "dependsOn", "targetRef": "resource:default/ledger"},
        ],
        "status": {"items": []},
    }


def ref(entity: dict) -> str:
    metadata = entity["metadata"]
    return f"{entity['kind']}:{metadata['namespace']}/{metadata['name']}".lower()


class Catalogue:
    """Entities in the order of their ids. Like Backstage, a cursor holds the last id that was seen, and the total."""

    def __init__(self, server: SourceServer, entities: Iterable[dict] = ()) -> None:
        self.server = server
        self.entities = {entity["metadata"]["uid"]: entity for entity in entities}
        self.page_numbers: list[int] = []
        """Of everything that was asked for."""
        self.before_page: dict[int, Callable[[], object]] = {}
        """What happens in the catalogue when a page is asked for, once."""
        self.overlap = 0
        """How many entries of the page before each page repeats."""
        self.loops: dict[int, int] = {}
        """Pages whose cursor leads to another page than the next."""
        self.repeats_last = False
        """Whether the last page, asked for by ever new cursors, comes for ever."""
        self._epoch = self._repeated = 0
        server.serve(LIST, self._answer)

    @property
    def refs(self) -> list[str]:
        return [ref(entity) for _, entity in sorted(self.entities.items())]

    def add(self, entity: dict) -> None:
        self.entities[entity["metadata"]["uid"]] = entity

    def move(self, name: str, number: int) -> None:
        """Make an entity anew with another id, so that it stands elsewhere in the list."""
        old = next(uid for uid, entity in self.entities.items() if entity["metadata"]["name"] == name)
        entity = copy.deepcopy(self.entities.pop(old))
        entity["metadata"]["uid"] = component(number)["metadata"]["uid"]
        self.add(entity)

    def touch(self) -> None:
        """Let Backstage process every entity again: nobody changed any, yet its own fields differ."""
        for entity in self.entities.values():
            entity["metadata"] |= {"etag": f"{entity['metadata']['etag']}x", "generation": 2}
            entity["relations"].reverse()
            entity["status"] = {"items": [{"type": "backstage.io/catalog-processing", "level": "info"}]}

    def expire_cursors(self) -> None:
        """Forget every cursor, as another version that writes them in another way does."""
        self._epoch += 1

    def _answer(self, request: Request) -> Reply:
        limit = int(request.params.get("limit", "20"))
        position = {"after": "", "page": 1, "total": len(self.entities), "epoch": self._epoch}
        if "cursor" in request.params:
            position |= _decoded(request.params["cursor"])
        if position["epoch"] != self._epoch:
            return _refusal()
        page = position["page"]
        self.page_numbers.append(page)
        self.before_page.pop(page, lambda: None)()
        ids = sorted(self.entities)
        start = sum(each <= position["after"] for each in ids)
        shown = ids[max(0, start - self.overlap) : start + limit]
        body = {
            "items": [self.entities[each] for each in shown],
            "totalItems": position["total"],
            "pageInfo": self._page_info(position, ids, start + limit),
        }
        return as_json(body, page=page)

    def _page_info(self, position: dict, ids: list[str], end: int) -> dict:
        page = position["page"]
        if page in self.loops:
            target = self.loops[page]
            size = end // page
            return {"nextCursor": _encoded({**position, "after": ids[size * (target - 1) - 1], "page": target})}
        if end < len(ids):
            return {"nextCursor": _encoded({**position, "after": ids[end - 1], "page": page + 1})}
        if self.repeats_last:
            self._repeated += 1
            return {"nextCursor": _encoded({**position, "nonce": self._repeated})}
        return {}


def _encoded(position: dict) -> str:
    # As in Backstage the text holds `+`, `/` and `=`, which an address must quote.
    return base64.b64encode(json.dumps({**position, "~": "?>?>~~~"}, sort_keys=True).encode()).decode()


def _decoded(cursor: str) -> dict:
    return json.loads(base64.b64decode(cursor))


def _refusal() -> Reply:
    error = {"name": "InputError", "message": "Malformed cursor: canary-of-the-answer"}
    return as_json({"error": error, "response": {"statusCode": 400}}, status=400)
