"""Where the layers of a block stand: in rows, the network before beside the network after.

The network before is laid out by Sugiyama's method (fast-sugiyama). In the network after, a layer
stands where it stood before, and the place of a layer that was removed is empty. So each row reads
across, and an edge that passes by removed layers runs through their places.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kito.drawing.blocks import Block
from kito.drawing.picture import Layer, Picture
from kito.errors import KitoError

Spot = tuple[int, float]
"""A row, and a column: a multiple of the width of a layer."""
Source = int
"""A call outside of the block that one inside reads, as ``-1 - index``."""
_BENT = 0.3
"""How much of a column an edge takes that passes a row."""


@dataclass
class Side:
    """One network of a block.

    Attributes:
        spots: where each call stands, and each source outside.
        edges: for each pair of calls, the spots that the edge passes between them.
    """

    spots: dict[int, Spot] = field(default_factory=dict)
    edges: dict[tuple[int, int], list[Spot]] = field(default_factory=dict)

    @property
    def width(self) -> float:
        """The last column."""
        return max((x for _, x in self._every()), default=0.0)

    def align(self) -> None:
        """Make the first column 0."""
        low = min((x for _, x in self._every()), default=0.0)
        self.spots = {i: (row, x - low) for i, (row, x) in self.spots.items()}
        self.edges = {k: [(row, x - low) for row, x in bends] for k, bends in self.edges.items()}

    def _every(self) -> Iterable[Spot]:
        yield from self.spots.values()
        for bends in self.edges.values():
            yield from bends


@dataclass(frozen=True)
class Layout:
    """A block, laid out.

    Attributes:
        before, after: its two networks.
        rows: how many rows there are.
    """

    before: Side
    after: Side
    rows: int


def is_installed() -> bool:
    """Whether the extra ``report`` is there, which draws."""
    return importlib.util.find_spec("fast_sugiyama") is not None


def check_installed() -> None:
    """Raise a KitoError that says what to install where the extra ``report`` is missing."""
    if not is_installed():
        raise KitoError(
            "drawing a network needs packages that are not installed; install them with: "
            "pip install 'pytest-kito[report]'"
        )


def lay_out(picture: Picture, block: Block) -> Layout:
    """Place the calls of a block.

    Raises:
        KitoError: the extra ``report`` is not installed.
    """
    check_installed()
    before = _lay_out_before(picture.before, block.before)
    after = _After(picture, block, before).side
    for side in (before, after):
        side.align()
    rows = 1 + max((row for side in (before, after) for row, _ in side.spots.values()), default=0)
    return Layout(before, after, rows)


def _links(layers: Sequence[Layer], calls: Iterable[int]) -> list[tuple[int, int]]:
    """The edges inside of a block and into it."""
    inside = set(calls)
    return [
        (source if source in inside else -1 - source, i)
        for i in sorted(inside)
        for source in layers[i].inputs
    ]


def _lay_out_before(layers: Sequence[Layer], calls: Sequence[int]) -> Side:
    from fast_sugiyama import from_edges

    links = _links(layers, calls)
    vertices = list(dict.fromkeys(x for link in links for x in link))
    number = {x: k for k, x in enumerate(vertices)}
    side, right = Side(), 0.0
    parts: Sequence[Any] = []
    if links:
        parts = from_edges(
            [(number[a], number[b]) for a, b in links],
            vertex_spacing=1.0,
            dummy_vertices=True,
            dummy_size=_BENT,
            ranking_type="minimize",
            check_layout=False,
        )
    for positions, _, _, edges in parts:
        places = {k: (x, y) for k, (x, y) in positions}
        top, left = max(y for _, y in places.values()), min(x for x, _ in places.values())
        spot = {k: (round(top - y), x - left + right) for k, (x, y) in places.items()}
        for k, place in spot.items():
            if k < len(vertices):
                side.spots[vertices[k]] = place
        follow = {a: b for a, b in edges if a >= len(vertices)}
        for a, b in edges:
            if a >= len(vertices):
                continue
            bends = []
            while b >= len(vertices):
                bends.append(spot[b])
                b = follow[b]
            side.edges[vertices[a], vertices[b]] = bends
        right = 1.0 + max(x for _, x in spot.values())
    for i in calls:
        if i not in side.spots:  # nothing connects it
            side.spots[i] = (0, right)
            right += 1.0
    return side


class _After:
    def __init__(self, picture: Picture, block: Block, before: Side) -> None:
        self.picture, self.block, self.before = picture, block, before
        self.side = Side()
        self.moved = {
            j for j in block.after if any(kind == "moved" for kind, _ in picture.after[j].notes)
        }
        self._taken: set[tuple[int, int]] = set()
        for link in _links(picture.after, block.after):
            self.side.edges[link] = []
        self._place_sources()
        for j in block.after:
            self._place(j)
        for link in self.side.edges:
            self._bend(link)

    def _place_sources(self) -> None:
        """A source stands where the edge came in before that now comes from it."""
        for source, j in self.side.edges:
            if source >= 0 or source in self.side.spots:
                continue
            entry = self._way_back(j, source)
            spot = self.before.spots.get(entry[-1]) if entry else None
            if spot is None:
                twin = self.picture.after[j].twin
                row, x = self.before.spots.get(-1 if twin is None else twin, (1, 0.0))
                spot = (max(row - 1, 0), x)
            self.side.spots[source] = self._free(spot)

    def _place(self, j: int) -> None:
        layer = self.picture.after[j]
        above = [self.side.spots[a] for a, b in self.side.edges if b == j and a in self.side.spots]
        row = 1 + max((r for r, _ in above), default=-1)
        column = above[0][1] if above else 0.0
        if layer.twin is not None:
            old, column = self.before.spots[layer.twin]
            row = row if j in self.moved else max(row, old)
        self.side.spots[j] = self._free((row, column))

    def _free(self, spot: Spot) -> Spot:
        """The spot, or the next one to the right that is free."""
        row, x = spot
        while any((row, round(4 * x) + k) in self._taken for k in range(-3, 4)):
            x += 0.25
        self._taken.add((row, round(4 * x)))
        return row, x

    def _bend(self, link: tuple[int, int]) -> None:
        """Lead an edge through the places of the layers between its ends that were removed."""
        way = self._way_back(link[1], link[0])
        (top, _), (bottom, _) = self.side.spots[link[0]], self.side.spots[link[1]]
        bends: list[Spot] = []
        twin = self.picture.after[link[1]].twin
        if way and twin is not None:
            ends = [*reversed(way), twin]
            for a, b in itertools.pairwise(ends):
                if a != ends[0]:
                    bends.append(self.before.spots[a])
                bends += self.before.edges.get((a, b), [])
        self.side.edges[link] = [x for x in bends if top < x[0] < bottom]

    def _way_back(self, j: int, source: int) -> list[int]:
        """From a call of ``after`` back to ``source``, through calls of ``before`` that are gone.

        Returns:
            What is passed in the block before, from below: removed calls, then the twin of
            ``source`` or the place where the edge came into the block. Empty if there is no way.
        """
        layers = self.picture.before
        start = self.picture.after[j].twin
        goal = self.picture.after[source if source >= 0 else -1 - source].twin
        inside = set(self.block.before)
        if start is None:
            return []
        waiting: deque[list[int]] = deque([[i] for i in layers[start].inputs])
        seen: set[int] = set()
        while waiting:
            way = waiting.popleft()
            i = way[-1]
            if i in seen:
                continue
            seen.add(i)
            if i == goal and source >= 0:
                return way
            if i not in inside:
                if source < 0 and (i == goal or self._leads_to(i, goal)):
                    return [*way[:-1], -1 - i]
                continue
            if layers[i].twin is None:
                waiting.extend([*way, k] for k in layers[i].inputs)
        return []

    def _leads_to(self, i: int, goal: int | None) -> bool:
        """Whether ``goal`` is what the reduced model has in the place of call ``i`` of before."""
        layers = self.picture.before
        waiting, seen = [i], set()
        while waiting:
            k = waiting.pop()
            if k == goal:
                return True
            if k not in seen and layers[k].twin is None:
                seen.add(k)
                waiting += layers[k].inputs
        return False
