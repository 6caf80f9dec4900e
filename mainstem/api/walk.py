"""A graph, step by step: what each step met, how far away that is, and where to look next. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import compress
from typing import Final, Literal, NamedTuple

Direction = Literal["upstream", "downstream"]
WAYS: Final[tuple[Direction, ...]] = ("upstream", "downstream")


class Met(NamedTuple):
    """Edges that a step met on one *way*: of each the id of the service it leads to, that node as JSON but for its
    distance and the brace that closes it, and the edge as JSON.
    """

    way: Direction
    far: Sequence[bytes]
    nodes: Sequence[str]
    edges: Sequence[str]

    def only(self, wanted: Sequence[bool]) -> "Met":
        far, nodes, edges = self.far, self.nodes, self.edges
        return Met(self.way, [*compress(far, wanted)], [*compress(nodes, wanted)], [*compress(edges, wanted)])


class Walk:
    """Goes all *ways* from *root* at once, so that what is near is met before what is far: at most *depth* steps, until
    it met *most* edges.
    """

    def __init__(self, root: bytes, ways: Iterable[Direction], *, depth: int, most: int) -> None:
        self.is_cut = False
        self._depth = depth
        self._steps = 0
        self._room = most
        self._frontier: dict[Direction, AbstractSet[bytes]] = {way: {root} for way in ways}
        self._seen = {way: {root} for way in self._frontier}
        self._placed = {root}
        self._met: set[str] = set()
        self._nodes: list[str] = []
        self._edges: list[str] = []

    @property
    def frontier(self) -> Mapping[Direction, AbstractSet[bytes]]:
        """The services whose edges are to be taken next, by the way; nothing at the end."""
        return {way: keys for way, keys in self._frontier.items() if keys}

    def nodes(self) -> str:
        """Return all but the root, as JSON: the nearest first, those of one distance by their references."""
        return _listed(self._nodes)

    def edges(self) -> str:
        """Return the edges, as JSON: the nearest first, those of one distance by their references."""
        return _listed(self._edges)

    def take(self, step: Sequence[Met]) -> None:
        """Go one step. *step*: the edges of the frontier; of each way all of them, or more than *most*."""
        edges: list[str] = []
        nodes: dict[bytes, str] = {}
        # One way meets an edge once, but the other may have met it.
        for met in step if len(self._seen) == 1 else map(self._unmet, step):
            room = self._room - len(edges)
            self.is_cut = self.is_cut or len(met.edges) > room
            edges += met.edges[:room]
            nodes.update(zip(met.far[:room], met.nodes, strict=False))
        self._room -= len(edges)
        self._edges += sorted(edges)
        self._place(nodes)
        is_over = self.is_cut or self._steps == self._depth
        self._frontier = {} if is_over else {way: self._unseen(way, step) for way in self._seen}

    def _unseen(self, way: Direction, step: Iterable[Met]) -> AbstractSet[bytes]:
        far = set[bytes]().union(*(met.far for met in step if met.way == way)) - self._seen[way]
        self._seen[way] |= far
        return far

    def _unmet(self, met: Met) -> Met:
        wanted = [edge not in self._met for edge in met.edges]
        self._met.update(met.edges)
        return met.only(wanted)

    def _place(self, nodes: Mapping[bytes, str]) -> None:
        self._steps += 1
        fresh = nodes.keys() - self._placed
        self._placed |= fresh
        if fresh:
            end = f',"distance":{self._steps}}}'
            self._nodes.append(f"{end},".join(sorted(map(nodes.__getitem__, fresh))) + end)


def _listed(parts: Iterable[str]) -> str:
    return f"[{','.join(parts)}]"
