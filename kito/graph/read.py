"""Read a functional or Sequential model, and the models nested in it, as a :class:`Graph`.

The model is walked through once and is not changed.
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
        UnsupportedModelError: the model has its own ``call``, or is a Sequential that was never
            built.
    """
    return _read(model, None, {})


def _read(model: Any, caller: Op | None, ops: Ops) -> Graph:
    core = functional_core(model)
    graph = Graph(model, caller)
    convert = read_calls(graph, keras_calls(core), ops)
    graph.inputs = convert(core._inputs_struct)
    graph.outputs = convert(core._outputs_struct)
    graph.output_names = [producer_name(x) for x in core.outputs]
    for tensor in tree.flatten(graph.inputs):
        if tensor.node not in graph.nodes:  # an unused input is still an input
            graph.nodes[tensor.node] = None
    return graph


def read_calls(graph: Graph, calls: Iterable[Any], ops: Ops) -> Callable[[Any], Any]:
    """Append Keras' ``calls`` to ``graph``, and their ops to ``ops``.

    Returns:
        A function of a structure of Keras tensors, which returns it with the graph's tensors.
    """
    tensors: dict[int, Tensor] = {}

    def convert(structure: Any) -> Any:
        return tree.map_structure(
            lambda x: tensors[id(x)] if isinstance(x, keras.KerasTensor) else x, structure
        )

    for call in calls:
        args, kwargs = convert((call.arguments.args, call.arguments.kwargs))
        node = graph.add(_op(call.operation, ops), args, kwargs, call.outputs)
        for old, new in zip(call.outputs, node.outputs, strict=True):
            tensors[id(old)] = new
            new.mask = get_keras_mask(old)
    return convert


def functional_core(model: Any) -> Any:
    """The functional model inside ``model``: itself, or the one that a Sequential keeps.

    Raises:
        UnsupportedModelError: the model is subclassed, or a Sequential that was never built.
    """
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
    """Whether ``layer`` is a model that :func:`read_graph` can read."""
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


def _op(layer: Any, ops: Ops) -> Op:
    """The op of a layer, operation or model; added to ``ops`` if it is new."""
    op = ops.get(id(layer))
    if op is None:
        op = ops[id(layer)] = Op(layer, layer.name)
        if is_readable(layer):
            op.graph = _read(layer, op, ops)
        elif type(layer) is keras.layers.TimeDistributed:
            op.inner = _op(layer.layer, ops)
            op.inner.wrappers.append(op)
    return op
