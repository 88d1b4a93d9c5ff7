"""Trace one call of a layer: what its ``call`` computes, as a graph.

The layer is called with symbolic tensors, so Keras records the calls of layers and ``keras.ops``
inside it. The graph is read from that record. The layer is not changed.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import tree

from kito.graph.ir import Graph, Tensor, map_tensors
from kito.graph.keras_internals import all_layers
from kito.graph.preserve import unrecorded
from kito.graph.read import Ops, read_calls


def trace(layer: Any, args: Any, kwargs: dict[str, Any], ops: Ops) -> tuple[Graph, list[Any]]:
    """What ``layer(*args, **kwargs)`` computes in inference, as a graph.

    The layer's ``__call__`` runs as usual, but its ``call`` gets the symbolic tensors themselves,
    so that the layers and ``keras.ops`` in it record their calls. Each layer inside is one call.

    Args:
        layer: a built layer or model. It is not changed.
        args: positional arguments, with a :class:`Tensor` for each tensor.
        kwargs: keyword arguments, with a :class:`Tensor` for each tensor.
        ops: the known ops, by the layer's id; those of the layers inside are added.

    Returns:
        A graph whose inputs are a list with one input for each tensor of the call; and the layers
        in ``layer``, at any depth, that were called on constants only, which Keras does not record.

    Raises:
        StateChanged: the call changes the layer.
        Exception: whatever ``call`` raises when it gets symbolic tensors.
    """
    symbols: dict[Tensor, Any] = {}
    results: list[Any] = []

    def symbol(x: Tensor) -> Any:
        if x not in symbols:
            name = f"input_{len(symbols)}"
            symbols[x] = keras.Input(batch_shape=x.shape, dtype=x.dtype, name=name)
        return symbols[x]

    def call(*args: Any, **kwargs: Any) -> Any:
        results.append(layer.call(*args, **kwargs))
        # Keras records the layer as the producer of the tensors that are returned here. Return
        # copies, so that the results keep the producers inside the layer.
        return tree.map_structure(_copy, results[-1])

    args, kwargs = map_tensors((args, kwargs), symbol)
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
        recorded = {
            id(x)
            for parent, (_, count) in zip(within, before, strict=True)
            if len(parent._inbound_nodes) > count
            for x in (parent, *all_layers(parent))
        }
        graph = Graph(layer, None)
        inputs = list(symbols.values())
        convert = read_calls(graph, _calls_between(inputs, tree.flatten(results[0])), ops)
        graph.inputs = convert(inputs)
        graph.outputs = convert(results[0])
    return graph, [x for x in called if id(x) not in recorded]


def _copy(tensor: Any) -> Any:
    return keras.KerasTensor(tensor.shape, tensor.dtype, name=tensor.name)


def _calls_between(inputs: list[Any], outputs: list[Any]) -> list[Any]:
    """Keras' calls that compute ``outputs`` from ``inputs``, in topological order."""
    order: dict[int, Any] = {}
    waiting = [(_producing_call(x), False) for x in reversed([*inputs, *outputs])]
    while waiting:
        node, ready = waiting.pop()
        if id(node) in order:
            continue
        if ready:
            order[id(node)] = node
            continue
        waiting.append((node, True))
        waiting += [(_producing_call(x), False) for x in reversed(node.arguments.keras_tensors)]
    return list(order.values())


def _producing_call(tensor: Any) -> Any:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]
