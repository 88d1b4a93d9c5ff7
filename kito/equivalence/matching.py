"""Which layers of two models have the same output, if the second is the first one, reduced.

A layer of the reduced model stands for its namesake in the original and for those behind it that
have vanished: a convolution that absorbed a normalization has the output that this one had. Custom
layers and subclassed models are seen through, as far as they can be opened.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import keras

from kito.graph.interpret import calls
from kito.graph.ir import Graph, Node, Op
from kito.graph.keras_internals import all_layers
from kito.graph.read import read_graph
from kito.rewrite.inline.sweep import read_inlined

_PADDING = (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D)
"""What vanishes into a layer behind it, and so leaves the output of the one before it."""


@dataclass(frozen=True)
class Calls:
    """What a model calls.

    Attributes:
        graph: those in what can be opened included.
        nameless: the ops that opening made, whose names are others each time.
    """

    graph: Graph
    nameless: frozenset[Op]


def read_calls(model: Any) -> Calls:
    """The calls of a model, by the names that they have when it is reduced."""
    known = {id(layer) for layer in all_layers(model)}
    before = read_graph(model)
    known |= {id(node.op.layer) for inner in before.graphs() for node in inner.nodes}
    graph = read_inlined(model).graph
    ops = {node.op for inner in graph.graphs() for node in inner.nodes}
    whole = [node.op for node in before.nodes if not node.is_input]
    if len(whole) == 1 and isinstance(whole[0].layer, keras.Model) and whole[0].graph is None:
        for op in ops:  # a view of a subclassed model, which is reduced without that view
            op.name = op.name.removeprefix(f"{whole[0].name}.")
    return Calls(graph, frozenset(op for op in ops if id(op.layer) not in known))


def match_layers(original: Calls, reduced: Calls) -> dict[str, set[str]]:
    """By layer of the reduced model, those of the original whose output it may have.

    That is its namesake, or the last of those behind it, in a chain, that have vanished; also the
    last before a padding, which may have gone the other way. Where an
    operation may have another name in the reduced model, nobody knows whether it has vanished: both
    count. A copy that a layer called at several places got, ``conv_1`` of ``conv``, stands for
    that.
    """
    named = [(path, node) for path, node in calls(original.graph) if _named(node, original)]
    count = Counter(path for path, _ in named)
    names = {path for path, node in calls(reduced.graph) if _named(node, reduced)}
    strangers = any(path not in count for path, _ in calls(reduced.graph))
    found: dict[str, set[str]] = {}
    for path, node in named:
        before = path.removesuffix(node.op.name)
        last, tensor = path, node.outputs[0]
        ends = found.setdefault(path, set())
        while len(tensor.users) == 1:
            user = tensor.users[0]
            if _named(user, original) and before + user.op.name in names:
                break
            if isinstance(user.op.layer, _PADDING):
                ends.add(last)
            if strangers and (
                user.op in original.nameless or not isinstance(user.op.layer, keras.Layer)
            ):
                ends.add(last)
            last, tensor = before + user.op.name, user.outputs[0]
        ends.add(last)
    for path in names - set(found):
        copied = re.sub(r"_\d+$", "", path)
        if count[copied] > 1:
            found[path] = found[copied]
    return {path: found[path] for path in names if path in found}


def _named(node: Node, where: Calls) -> bool:
    return node.op not in where.nameless
