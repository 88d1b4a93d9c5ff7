"""The calls of a model as a flat list, for whoever shows a graph and never edits it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import tree

from kito.errors import UnsupportedModelError
from kito.graph.ir import Graph, Tensor
from kito.graph.keras_internals import all_layers
from kito.graph.read import is_readable, read_graph


@dataclass(frozen=True)
class Call:
    """One call of a layer, when it was read.

    Attributes:
        name: the name of the layer in the graph.
        layer: the live Keras object.
        inputs: the indices of the calls whose results it takes, each once.
        shape: of its first result.
        within: the names of the nested models that it is in, the outermost first.
    """

    name: str
    layer: Any
    inputs: tuple[int, ...]
    shape: tuple[int | None, ...]
    within: tuple[str, ...] = ()


def list_calls(graph: Graph) -> tuple[Call, ...]:
    """The calls of ``graph`` in topological order, those in nested models included, O(calls).

    A nested model is listed where it is called first. A further call of it is one call, so that
    models that call each other twice do not make a list of exponential length.
    """
    listing = _Listing()
    listing.walk(graph, {}, ())
    return tuple(listing.calls)


def model_calls(model: Any) -> tuple[Call, ...]:
    """The calls of a model; of a subclassed one, those of the functional models in it."""
    try:
        return list_calls(read_graph(model))
    except UnsupportedModelError:
        inside = [x for x in all_layers(model) if is_readable(x)]
    nested = {id(layer) for part in inside for layer in all_layers(part)}
    parts = [list_calls(read_graph(x)) for x in inside if id(x) not in nested]
    return join_calls(parts)


def join_calls(parts: Any) -> tuple[Call, ...]:
    """The calls of several models as one list; nothing connects them."""
    calls: list[Call] = []
    for part in parts:
        start = len(calls)
        calls += [
            Call(x.name, x.layer, tuple(i + start for i in x.inputs), x.shape, x.within)
            for x in part
        ]
    return tuple(calls)


class _Listing:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.listed: set[Graph] = set()

    def walk(self, graph: Graph, made: dict[Tensor, int], within: tuple[str, ...]) -> None:
        """List the calls of ``graph``; ``made`` gets the index of the call that made a tensor."""
        self.listed.add(graph)
        for node in graph.nodes:
            sources = [made[x] for x in node.inputs if x in made]
            if node.is_input and node.outputs[0] in made:  # of a nested model
                sources = [made[node.outputs[0]]]
            inside = node.op.graph
            if inside is not None and inside not in self.listed:
                given = zip(_flat(inside.inputs), node.inputs, strict=False)
                made |= {inner: made[outer] for inner, outer in given if outer in made}
                self.walk(inside, made, (*within, node.op.name))
                results = zip(node.outputs, _flat(inside.outputs), strict=False)
                made |= {outer: made[inner] for outer, inner in results}
                continue
            shape = node.outputs[0].shape if node.outputs else ()
            inputs = tuple(dict.fromkeys(sources))
            made |= dict.fromkeys(node.outputs, len(self.calls))
            self.calls.append(Call(node.op.name, node.op.layer, inputs, shape, within))


def _flat(structure: Any) -> list[Tensor]:
    return [x for x in tree.flatten(structure) if isinstance(x, Tensor)]


def is_input(layer: Any) -> bool:
    """Whether a layer stands for an input of a model."""
    return isinstance(layer, keras.layers.InputLayer)
