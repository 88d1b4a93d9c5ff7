"""What Keras keeps to itself: a model's calls, and what a layer calls when it is called.

``read_graph`` walks a functional or Sequential model once. ``trace`` calls a layer with symbolic
tensors, and reads what it does with them. :mod:`kito.graph.build` makes a model of such a graph.
Nothing that is read is changed.

This is the only module that reads Keras' private attributes. It never decides what to rewrite.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import tree

from kito.graph.ir import Graph, Tensor
from kito.graph.keras_internals import all_layers
from kito.graph.preserve import unrecorded
from kito.graph.read import Ops, read_calls


def trace(layer: Any, args: Any, kwargs: dict[str, Any], ops: Ops) -> tuple[Graph, list[Any]]:
    """What ``layer`` does in inference, as a graph, when it is called with such tensors.

    Its ``__call__`` runs as always, but its ``call`` is given the symbolic tensors themselves, so
    that the layers and ``keras.ops`` in it record their calls. Layers inside of those stay closed.

    Args:
        layer: a built layer or model. It is left as it was.
        args: of a call, with a :class:`Tensor` for each symbolic tensor.
        kwargs: likewise.
        ops: the ops that are known; those of the layers inside are added.

    Returns:
        A graph whose inputs are a list, one for each tensor of the call; and the layers in
        ``layer``, at any depth, that were called on constants, of which there is no record.

    Raises:
        StateChanged: the call changes the layer.
        Exception: whatever its ``call`` raises of symbolic tensors.
    """
    symbols: dict[Tensor, Any] = {}
    results: list[Any] = []

    def symbol(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        if x not in symbols:
            name = f"input_{len(symbols)}"
            symbols[x] = keras.Input(batch_shape=x.shape, dtype=x.dtype, name=name)
        return symbols[x]

    def call(*args: Any, **kwargs: Any) -> Any:
        results.append(layer.call(*args, **kwargs))
        # Keras enters the layer as the maker of what it returns: give it others to write on.
        return tree.map_structure(_twin, results[-1])

    args, kwargs = tree.map_structure(symbol, (args, kwargs))
    within = all_layers(layer)
    before = [(x._called, len(x._inbound_nodes)) for x in within]
    with unrecorded([layer, *within]):
        vars(layer)["symbolic_call"] = call
        for x in within:
            x._called = False
        try:
            layer(*args, **{**kwargs, "training": False})
        finally:
            del vars(layer)["symbolic_call"]
            called = [x for x in within if x._called]
            for x, (flag, _) in zip(within, before, strict=True):
                x._called = flag
        seen = {
            id(x)
            for parent, (_, count) in zip(within, before, strict=True)
            if len(parent._inbound_nodes) > count
            for x in (parent, *all_layers(parent))
        }
        graph = Graph(layer, None)
        inputs = list(symbols.values())
        switch = read_calls(graph, _calls_between(inputs, tree.flatten(results[0])), ops)
        graph.inputs = tree.map_structure(switch, inputs)
        graph.outputs = tree.map_structure(switch, results[0])
    return graph, [x for x in called if id(x) not in seen]


def _twin(tensor: Any) -> Any:
    return keras.KerasTensor(tensor.shape, tensor.dtype, name=tensor.name)


def _calls_between(inputs: list[Any], outputs: list[Any]) -> list[Any]:
    """The calls that make ``outputs`` of ``inputs``, whoever is needed first."""
    order: dict[int, Any] = {}
    waiting = [(_maker(x), False) for x in reversed([*inputs, *outputs])]
    while waiting:
        node, ready = waiting.pop()
        if id(node) in order:
            continue
        if ready:
            order[id(node)] = node
            continue
        waiting.append((node, True))
        waiting += [(_maker(x), False) for x in reversed(node.arguments.keras_tensors)]
    return list(order.values())


def _maker(tensor: Any) -> Any:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]
