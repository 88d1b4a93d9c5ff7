"""Stock layers for the weights that a composite layer uses itself, not through a layer in it.

- ``x @ kernel`` with a kernel of two axes is a ``Dense`` without bias;
- ``x * c``, ``x + c``, ``x - c`` and ``c - x``, with a ``c`` that does not make ``x`` larger, are a
  ``Rescaling``: ``scale * x + offset``.

A constant that was computed from weights is held like a weight. Anything else cannot be held.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, tree

from kito.graph.ir import Graph, Node, Op
from kito.graph.keras_internals import all_layers
from kito.graph.stock import keras_name

_LARGEST = 1 << 18
"""Most elements of a constant in a Rescaling, whose configuration lists them."""


def hold_weights(inside: Graph, layer: Any, unrecorded: list[Any]) -> str | None:
    """Let stock layers hold the weights of ``layer`` that belong to no layer called in ``inside``.

    Args:
        inside: the calls that ``layer`` makes; changed in place.
        layer: a layer that holds layers.
        unrecorded: the layers in it, at any depth, that were called on constants.

    Returns:
        What cannot be held, in words; None where every weight is held.
    """
    held = {
        id(v)
        for node in inside.nodes
        if isinstance(node.op.layer, keras.Layer)
        for v in node.op.layer.weights
    }
    direct = [node for node in inside.nodes if _constants(node, variables_only=True)]
    named = {id(v) for node in direct for v in _constants(node, variables_only=True)}
    # A layer that runs in training only, or whose result is not used, may be lost.
    reached = {id(v) for x in unrecorded for v in x.weights} | {id(v) for v in _own(layer)}
    lost = [v for v in layer.weights if id(v) in reached and id(v) not in held | named]
    computed = []
    if lost:
        computed = [x for x in inside.nodes if x not in direct and _constants(x)]
        if not computed:
            return f"no layer in it has its weight '{lost[0].path}'"
    for node in [*direct, *computed]:
        if not _hold(inside, node, layer):
            what = _constants(node)[0]
            name = getattr(what, "path", None) or (lost[0].path if lost else "")
            return (
                f"no stock layer can hold its weight '{name}' of shape {tuple(what.shape)}, which "
                f"'{type(node.op.layer).__name__}' uses"
            )
    return None


def _own(layer: Any) -> list[Any]:
    inner = {id(v) for x in all_layers(layer) for v in x.weights}
    return [v for v in layer.weights if id(v) not in inner]


def _constants(node: Node, variables_only: bool = False) -> list[Any]:
    """The variables, and the tensors that are not symbolic, among the arguments of an operation."""
    if isinstance(node.op.layer, keras.Layer):
        return []
    return [
        x
        for x in tree.flatten((node.args, node.kwargs))
        if isinstance(x, keras.Variable) or (not variables_only and keras.ops.is_tensor(x))
    ]


def _hold(inside: Graph, node: Node, owner: Any) -> bool:
    """Let a stock layer replace an operation with a constant; False where none can."""
    data, result = node.data, node.outputs[0]
    if len(node.args) != 2 or node.kwargs or len(node.inputs) != 1 or data is None:
        return False
    if not data.dtype == result.dtype == owner.variable_dtype == "float32":
        return False
    first = node.args[0] is data
    constant = np.asarray(keras.ops.convert_to_numpy(node.args[1 if first else 0]))
    kind, name = keras_name(type(node.op.layer)), node.op.name
    stock: Any
    if kind == "ops.numpy.Matmul" and first and constant.ndim == 2 and len(data.shape) > 1:
        stock = layers.Dense(constant.shape[1], use_bias=False, name=name, dtype="float32")
        stock.build(data.shape)
        stock.kernel.assign(constant)
    else:
        terms = _as_rescaling(kind, constant, first)
        simple = keras.config.image_data_format() == "channels_last"
        if terms is None or not simple or data.shape != result.shape or constant.size > _LARGEST:
            return False
        stock = layers.Rescaling(*terms, name=name, dtype="float32")
    node.op.nodes.remove(node)
    node.op = Op(stock, name)
    node.op.nodes = [node]
    inside.set_operands(node, data)
    return True


def _as_rescaling(kind: str, c: np.ndarray, first: bool) -> tuple[Any, Any] | None:
    """(scale, offset) of the ``Rescaling`` that does what the operation does with ``c``."""
    value: Any = c if c.ndim else float(c)
    return {
        "ops.numpy.Multiply": (value, 0.0),
        "ops.numpy.Add": (1.0, value),
        "ops.numpy.Subtract": (1.0, -value) if first else (-1.0, value),
    }.get(kind)
