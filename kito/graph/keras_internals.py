"""What Keras keeps to itself: a model's calls, and what a layer calls when it is called.

``read_graph`` walks a functional or Sequential model once. ``trace`` calls a layer with symbolic
tensors, and reads what it does with them. :mod:`kito.graph.build` makes a model of such a graph.
Nothing that is read is changed.

This is the only module that reads Keras' private attributes. It never decides what to rewrite.
"""

from __future__ import annotations

from typing import Any

import keras
from keras.src.ops.numpy import Multiply, Reshape

from kito.graph.ir import Tensor

PRODUCT, RESHAPE = Multiply, Reshape
"""The classes of ``keras.ops.multiply`` and ``keras.ops.reshape``."""


def build_shapes(model: Any) -> dict[str, Any] | None:
    """The shapes that a layer was built with, by argument; None where it was not."""
    shapes = getattr(model, "_build_shapes_dict", None)
    return dict(shapes) if shapes else None


def fresh_operation(operation: Any, name: str) -> Any:
    """A copy of a ``keras.ops`` operation that knows no calls yet; it holds plain values only."""
    fresh = object.__new__(type(operation))  # copy.copy() would go through its configuration
    vars(fresh).update(vars(operation))
    fresh._inbound_nodes, fresh._outbound_nodes = [], []
    fresh.name = name
    return fresh


def producer_name(tensor: Any) -> str:
    """The name of the layer or operation that made a symbolic tensor."""
    return str(tensor._keras_history.operation.name)


def compile_settings(model: Any) -> dict[str, Any] | None:
    """The arguments of ``model.compile``; None where it was not compiled."""
    if not getattr(model, "compiled", False) or not hasattr(model, "_compile_config"):
        return None
    return dict(model._compile_config.config)


def split_operation(tensor: Tensor, parts: int) -> tuple[Any, list[Any]]:
    """The operation that cuts ``tensor`` into equal parts along its last axis, and its results."""
    parts_of = keras.ops.split(keras.KerasTensor(tensor.shape, tensor.dtype), parts, axis=-1)
    return parts_of[0]._keras_history.operation, list(parts_of)


def input_names(model: Any) -> list[str]:
    """The names of a built model's inputs, flat: those of its Input layers."""
    return [producer_name(x) for x in model.inputs]


def output_names(model: Any) -> list[str]:
    """The names of a built model's outputs, flat, each once: a repeated name gets a number."""
    seen: dict[str, int] = {}
    names = []
    for tensor in model.outputs:
        name = producer_name(tensor)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return names


def made_by_one(model: Any) -> bool:
    """Whether one layer makes all outputs of a built model."""
    return len({id(x._keras_history.operation) for x in model.outputs}) == 1


def all_layers(model: Any) -> list[Any]:
    """Every distinct layer at any depth, nested models and wrapped layers included."""
    found: dict[int, Any] = {}

    def walk(layer: Any) -> None:
        own = isinstance(layer, keras.Model)
        for child in layer.layers if own else layer._flatten_layers(False, recursive=False):
            if id(child) not in found:
                found[id(child)] = child
                walk(child)

    walk(model)
    return list(found.values())
