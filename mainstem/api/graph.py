"""What depends on what, step by step: each service is visited once, so cycles end by themselves."""

from operator import itemgetter
from typing import Any, Final, Literal

from fastapi import Request

from mainstem.api.database import ask

Direction = Literal["upstream", "downstream"]

MAX_EDGES: Final = 20_000
"""Of one answer; it says that it is truncated when there are more."""


async def walk(request: Request, root: dict[str, Any], ways: tuple[Direction, ...], depth: int) -> dict[str, Any]:
    """Return the graph that is reached from *root* in at most *depth* steps, each way by itself."""
    graph = _Graph(root["entity_ref"])
    for way in ways:
        frontier, seen = [root["id"]], {root["entity_ref"]}
        for distance in range(1, depth + 1):
            if not frontier or graph.is_truncated:
                break
            rows = await ask(request, way, ids=frontier, limit=graph.room + 1)
            fresh = [row for row in graph.take(rows, distance) if row["entity_ref"] not in seen]
            seen |= {row["entity_ref"] for row in fresh}
            frontier = sorted({row["id"] for row in fresh if row["id"] is not None})
    return graph.shape()


class _Graph:
    def __init__(self, root: str) -> None:
        self._root = root
        self._nodes: dict[str, dict[str, Any]] = {}
        self._edges: dict[tuple[str, str], dict[str, Any]] = {}
        self.is_truncated = False

    @property
    def room(self) -> int:
        return MAX_EDGES - len(self._edges)

    def take(self, rows: list[dict[str, Any]], distance: int) -> list[dict[str, Any]]:
        """Take in the edges of one step; return those for which there was room."""
        self.is_truncated = len(rows) > self.room
        taken = rows[: self.room]
        for row in taken:
            near, far = row["dependant"], row["dependency"]
            self._edges[near, far] = {"from": near, "to": far, "type": row["type"], "is_critical": row["is_critical"]}
            ref = row["entity_ref"]
            known = self._nodes.get(ref)
            if ref != self._root and (known is None or distance < known["distance"]):
                self._nodes[ref] = {
                    "id": row["id"],
                    "entity_ref": ref,
                    "name": row["name"] or name_of(ref),
                    "tier": row["tier"],
                    "lifecycle": row["lifecycle"],
                    "distance": distance,
                }
        return taken

    def shape(self) -> dict[str, Any]:
        nodes = sorted(sorted(self._nodes.values(), key=itemgetter("entity_ref")), key=itemgetter("distance"))
        edges = [self._edges[edge] for edge in sorted(self._edges)]
        return {"root": self._root, "nodes": nodes, "edges": edges, "truncated": self.is_truncated}


def name_of(ref: str) -> str:
    """Return the name in a reference, or the words that are none."""
    return ref.rpartition("/")[2] if ":" in ref else ref
