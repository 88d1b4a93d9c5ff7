"""What Keras keeps to itself: a model's calls, and what a layer calls when it is called.

``read_graph`` walks a functional or Sequential model once. ``trace`` calls a layer with symbolic
tensors, and reads what it does with them. :mod:`kito.graph.build` makes a model of such a graph.
Nothing that is read is changed.

This is the only module that reads Keras' private attributes. It never decides what to rewrite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
from keras import tree
from keras.src.backend import get_keras_mask
from keras.src.models.functional import Functional

from kito.errors import UnsupportedModelError
from kito.graph.ir import Graph, Op, Tensor
from kito.graph.keras_internals import producer_name

Ops = dict[int, Op]
"""The op of each layer, by the layer's id."""


def read_graph(model: Any) -> Graph:
    """Read a functional or Sequential model, and the models nested in it, O(nodes).

    Raises:
        UnsupportedModelError: the model has a ``call`` of its own, or is a Sequential that was
            never built.
    """
    return _read(model, None, {})


def _read(model: Any, holder: Op | None, ops: Ops) -> Graph:
    core = functional_core(model)
    graph = Graph(model, holder)
    switch = read_calls(graph, keras_calls(core), ops)
    graph.inputs = tree.map_structure(switch, core._inputs_struct)
    graph.outputs = tree.map_structure(switch, core._outputs_struct)
    graph.output_names = [producer_name(x) for x in core.outputs]
    for tensor in tree.flatten(graph.inputs):
        if tensor.node not in graph.nodes:  # an input that nothing uses still is one
            graph.nodes[tensor.node] = None
    return graph


def read_calls(graph: Graph, calls: Iterable[Any], ops: Ops) -> Callable[[Any], Any]:
    """Append Keras' calls to ``graph``; returns what switches their tensors for ours."""
    tensors: dict[int, Tensor] = {}

    def switch(x: Any) -> Any:
        return tensors[id(x)] if isinstance(x, keras.KerasTensor) else x

    for call in calls:
        args, kwargs = tree.map_structure(switch, (call.arguments.args, call.arguments.kwargs))
        node = graph.add(_op(call.operation, ops), args, kwargs, call.outputs)
        for old, new in zip(call.outputs, node.outputs, strict=True):
            tensors[id(old)] = new
            new.mask = get_keras_mask(old)
    return switch


def functional_core(model: Any) -> Any:
    """The functional model whose calls are the model's own; raises UnsupportedModelError."""
    kind, name = type(model), getattr(model, "name", "?")
    if isinstance(model, keras.Sequential) and kind.call is keras.Sequential.call:
        if model._functional is None:
            raise UnsupportedModelError(
                f"Sequential model '{name}' is not built, so its layers have no shapes yet: make "
                "keras.Input(shape) its first layer, or call model.build(input_shape) before"
            )
        return model._functional
    if isinstance(model, Functional) and kind.call is Functional.call:
        return model
    raise UnsupportedModelError(
        f"model '{name}' is a subclassed model ({kind.__name__}): what its call() computes cannot "
        "be read as a graph. Write it with the functional API, keras.Model(inputs, outputs)"
    )


def is_readable(layer: Any) -> bool:
    """Whether :func:`read_graph` can read it."""
    if not isinstance(layer, keras.Model):
        return False
    try:
        return functional_core(layer) is not None
    except UnsupportedModelError:
        return False


def keras_calls(core: Any) -> Iterator[Any]:
    """The calls of a functional model in the order in which Keras runs them."""
    for depth in sorted(core._nodes_by_depth, reverse=True):
        yield from core._nodes_by_depth[depth]


def _op(layer: Any, ops: dict[int, Op]) -> Op:
    op = ops.get(id(layer))
    if op is None:
        op = ops[id(layer)] = Op(layer, layer.name)
        if is_readable(layer):
            op.graph = _read(layer, op, ops)
        elif type(layer) is keras.layers.TimeDistributed:
            op.inner = _op(layer.layer, ops)
            op.inner.wrappers.append(op)
    return op
