"""A large network in blocks, each small enough to be looked at.

A network is cut between two calls of its order. A good cut crosses few tensors, separates layers
whose names say that they do not belong together, and leaves blocks of about :data:`_SIZE` layers.
The cheapest sequence of cuts is found by dynamic programming, O(calls * :data:`_MOST`).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kito.drawing.picture import Layer, Picture

_SIZE, _MOST = 10, 90
"""How many layers a block has best, and at most."""
SMALL = 24
"""A network of so many layers is one block."""
_TENSOR, _SPLIT_NAME = 0.7, 3.0
"""What it costs to cut a tensor more than one, and two layers whose names begin alike."""
_NEW_NAME = 0.4
"""What a cut is worth at which names change that are alike around it."""
_NEAR = 8
"""How many calls around a cut say how alike the names of a block are."""
_TOKENS = re.compile(r"[A-Za-z]+|\d+")


@dataclass(frozen=True)
class Block:
    """A part of a network.

    Attributes:
        title: what the names of its layers have in common.
        before, after: the indices of its calls, in order.
        partial: whether it is one of several parts of a block.
    """

    title: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    partial: bool = False


def find_blocks(picture: Picture) -> list[Block]:
    """The blocks of a network, in order; each call is in one of them."""
    count = len(picture.before)
    ends = [count] if count <= SMALL else _ends(picture.before)
    groups = [range(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return _blocks(picture, groups, range(len(picture.after)))


def find_parts(picture: Picture, block: Block, many: int = 3) -> list[Block]:
    """The parallel parts of a block that is too wide, such as the branches of a NASNet cell.

    What ``many`` or more branches read comes first, then the branches, then what joins them. Calls
    of two branches that are connected in another way are one part.

    Returns:
        The parts in order; each call is in one of them. The block alone where it has no such parts.
    """
    inside, layers = set(block.before), picture.before
    sources = {i: inside.intersection(layers[i].inputs) for i in block.before}
    users = {i: inside.intersection(layers[i].users) for i in block.before}
    tail = _reached((i for i in block.before if len(sources[i]) >= many), users, inside)
    rest = inside - tail
    head = _reached((i for i in rest if len(users[i]) >= many), sources, rest)
    rest -= head
    both = {i: sources[i] | users[i] for i in block.before}
    branches = []
    for i in block.before:
        if i in rest:
            branches.append(_reached([i], both, rest))
            rest -= branches[-1]
    groups = [sorted(group) for group in (head, *branches, tail) if group]
    return _blocks(picture, groups, block.after, block.partial or len(groups) > 1)


def _reached(starts: Iterable[int], links: Mapping[int, set[int]], within: set[int]) -> set[int]:
    """The calls within a set that can be reached from some of them."""
    found, waiting = set(), list(starts)
    while waiting:
        i = waiting.pop()
        if i in within and i not in found:
            found.add(i)
            waiting += links[i]
    return found


def _blocks(
    picture: Picture, groups: Sequence[Sequence[int]], calls: Iterable[int], partial: bool = False
) -> list[Block]:
    """A block for each group of calls before, with those of ``calls`` after that belong to it."""
    group_of = {i: k for k, group in enumerate(groups) for i in group}
    after: list[list[int]] = [[] for _ in groups]
    placed: dict[int, int] = {}
    for j in calls:
        layer = picture.after[j]
        if layer.twin is not None:
            placed[j] = group_of[layer.twin]
        else:  # a new layer belongs to what it reads
            placed[j] = max((placed[i] for i in layer.inputs if i in placed), default=0)
        after[placed[j]].append(j)
    return [
        Block(_title([picture.before[i] for i in group]), tuple(group), tuple(own), partial)
        for group, own in zip(groups, after, strict=True)
    ]


def _ends(layers: Sequence[Layer]) -> list[int]:
    """Where each block ends: the index after its last call."""
    count = len(layers)
    cuts = _cut_costs(layers)
    best = [0.0] + [math.inf] * count
    start_of = [0] * (count + 1)
    for end in range(1, count + 1):
        for start in range(max(0, end - _MOST), end):
            cost = best[start] + cuts[end] + math.log((end - start) / _SIZE) ** 2
            if cost < best[end]:
                best[end], start_of[end] = cost, start
    ends = [count]
    while start_of[ends[0]] > 0:
        ends.insert(0, start_of[ends[0]])
    return ends


def _cut_costs(layers: Sequence[Layer]) -> list[float]:
    """For each place between two calls, what it costs to cut there."""
    count = len(layers)
    ending = [0] * (count + 1)
    for i, layer in enumerate(layers):
        ending[max(layer.users, default=i)] += 1
    # Without a number, a name like "conv" says nothing about where a layer is.
    shared = [
        sum(x.isdigit() for x in _shared(a.name, b.name)) for a, b in itertools.pairwise(layers)
    ]
    costs, alive = [0.0], 0
    for i in range(count - 1):
        alive += 1 - ending[i]
        near = max(shared[max(0, i - _NEAR) : i + _NEAR + 1])
        split = (shared[i] / near) ** 3 if near else 0.0
        cost = max(alive - 1, 0) * _TENSOR + split * _SPLIT_NAME
        costs.append(cost - _NEW_NAME * bool(near and split < 0.2))
    return [*costs, 0.0]


def _shared(first: str, second: str) -> list[str]:
    """The parts that two names begin with."""
    shared = []
    for a, b in zip(_TOKENS.findall(first), _TOKENS.findall(second), strict=False):
        if a != b:
            break
        shared.append(a)
    return shared


def _title(layers: Sequence[Layer]) -> str:
    first, last = layers[0].name, layers[-1].name
    common = first
    for layer in layers:
        while common and not layer.name.startswith(common):
            common = common[:-1]
    whole = all(not x.name[len(common) :][:1].isdigit() for x in layers)
    common = common.rstrip("_./- ") if whole else ""
    if len(common) > 2 and any(x.isdigit() for x in common):
        return common
    return first if len(layers) == 1 else f"{first} … {last}"
