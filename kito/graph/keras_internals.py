"""What is read from the private attributes of Keras' models, layers and symbolic tensors."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE
from keras.src.ops.numpy import Multiply, Reshape

from kito.graph.ir import Tensor

PRODUCT, RESHAPE = Multiply, Reshape
"""The classes of ``keras.ops.multiply`` and ``keras.ops.reshape``."""
SHORTENED: dict[str, str] = BIT64_TO_BIT32_DTYPE
"""By the dtype of 64 bits that the arguments of an operation have, that in which it computes."""


def own_value(value: Any) -> Any:
    """What to give to a variable so that it shares no memory with the one that ``value`` is of.

    On PyTorch a variable would take over the parameter of the other, and on JAX its array, which
    ``predict`` of one model donates, so that the other cannot read it any more. TensorFlow copies.
    """
    return value if keras.backend.backend() == "tensorflow" else keras.ops.copy(value)


def build_shapes(model: Any) -> dict[str, Any] | None:
    """The shapes that a layer was built with, by argument; None if they are unknown."""
    shapes = getattr(model, "_build_shapes_dict", None)
    return dict(shapes) if shapes else None


def fresh_operation(operation: Any, name: str) -> Any:
    """A copy of a ``keras.ops`` operation without its record of calls."""
    fresh = object.__new__(type(operation))  # copy.copy() would use get_config()
    vars(fresh).update(vars(operation))
    fresh._inbound_nodes, fresh._outbound_nodes = [], []
    fresh.name = name
    return fresh


def forget_calls(layer: Any) -> None:
    """Empty Keras' record of the calls of ``layer``, whose results nothing may use any more.

    The layers in it keep theirs: those in a functional model are what it consists of.
    """
    layer._inbound_nodes.clear()
    layer._outbound_nodes.clear()


def producer_name(tensor: Any) -> str:
    """The name of the layer or operation that returned a symbolic tensor."""
    return str(tensor._keras_history.operation.name)


def compile_settings(model: Any) -> dict[str, Any] | None:
    """The arguments of ``model.compile``; None if it was not compiled."""
    if not getattr(model, "compiled", False) or not hasattr(model, "_compile_config"):
        return None
    return dict(model._compile_config.config)


def split_operation(tensor: Tensor, parts: int) -> tuple[Any, list[Any]]:
    """The operation that cuts ``tensor`` into equal parts along its last axis, and its results."""
    results = keras.ops.split(keras.KerasTensor(tensor.shape, tensor.dtype), parts, axis=-1)
    return results[0]._keras_history.operation, list(results)


def input_names(model: Any) -> list[str]:
    """The names of a built model's inputs, flat: those of its Input layers."""
    return [producer_name(x) for x in model.inputs]


def output_names(model: Any) -> list[str]:
    """The names of a built model's outputs, flat; a repeated name gets a number, to be unique."""
    seen: dict[str, int] = {}
    names = []
    for tensor in model.outputs:
        name = producer_name(tensor)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return names


def has_single_output_layer(model: Any) -> bool:
    """Whether one layer returns all outputs of a built model."""
    return len({id(x._keras_history.operation) for x in model.outputs}) == 1


def all_layers(model: Any) -> list[Any]:
    """Every distinct layer at any depth, including nested models and wrapped layers."""
    found: dict[int, Any] = {}

    def walk(layer: Any) -> None:
        own = isinstance(layer, keras.Model)
        for child in layer.layers if own else layer._flatten_layers(False, recursive=False):
            if id(child) not in found:
                found[id(child)] = child
                walk(child)

    walk(model)
    return list(found.values())
