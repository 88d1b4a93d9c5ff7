"""Facts about layers and their classes: which classes are Keras' own, and what every layer has."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import keras
import numpy as np


def is_stock(kind: Any) -> bool:
    """Whether the class or function is one of Keras' own; its classes have a full configuration."""
    return str(kind.__module__).split(".")[0] == "keras"


@functools.cache
def base_attributes() -> frozenset[str]:
    """The names of the attributes that every layer or every model has."""
    return frozenset({*vars(keras.Layer(name="any")), *vars(keras.Model(name="any"))})


_OF_TENSORFLOW = (
    "_self_name_based_restores",
    "_self_saveable_object_factories",
    "_self_setattr_tracking",
    "_self_tracked_trackables",
    "_self_unconditional_",
    "_self_update_uid",
)
_OF_PYTORCH = frozenset({"_torch_params", "torch_params"})
"""Where Keras on PyTorch lists the weights of a layer once more."""


@functools.cache
def is_own_attribute(name: str) -> bool:
    """Whether an attribute of a layer is its own: not every layer has it, nor is it the backend's.

    TensorFlow adds attributes at the first use of some features. Their names start with ``_self_``,
    and so do those of custom layers: ``_self_attention``.
    """
    of_backend = name.startswith(_OF_TENSORFLOW) or name in _OF_PYTORCH
    return not of_backend and name not in base_attributes()


def own_attributes(layer: Any) -> dict[str, Any]:
    """The attributes of a layer that are its own, by name.

    On PyTorch a layer is a ``torch.nn.Module``, which keeps the layers among its attributes apart.
    """
    held = {**vars(layer), **_modules(layer)}
    return {name: value for name, value in held.items() if is_own_attribute(name)}


def set_attribute(layer: Any, name: str, value: Any) -> None:
    """Set an attribute where it is held, without Keras' and PyTorch's notice."""
    held = _modules(layer)
    (held if name in held else vars(layer))[name] = value


def delete_attribute(layer: Any, name: str) -> None:
    """Delete an attribute that the layer has, without Keras' and PyTorch's notice."""
    held = _modules(layer)
    del (held if name in held else vars(layer))[name]


def _modules(layer: Any) -> dict[str, Any]:
    modules: dict[str, Any] = vars(layer).get("_modules", {})
    return modules if keras.backend.backend() == "torch" else {}


def keras_name(kind: type) -> str:
    """The path of Keras' own class without "keras.src.", as "layers.core.dense.Dense"; else ""."""
    package, _, rest = kind.__module__.partition(".")
    return f"{rest.removeprefix('src.')}.{kind.__name__}" if package == "keras" else ""


def named_weights(layer: Any) -> dict[str, Any]:
    """The variables of a layer by their names.

    If names repeat, because there are layers inside, each gets its layer's name in front:
    "query/kernel".
    """
    names = [variable.name for variable in layer.weights]
    if len(set(names)) < len(names):
        names = ["/".join(variable.path.split("/")[-2:]) for variable in layer.weights]
    return dict(zip(names, layer.weights, strict=True))


def to_array(variable: Any) -> np.ndarray[Any, Any]:
    """A copy of the value of a variable."""
    value = variable.value
    if keras.backend.backend() == "tensorflow":
        # keras.ops.convert_to_numpy() takes four times as long, and copies large values more often.
        return np.array(value.value())
    return np.array(keras.ops.convert_to_numpy(value))


@functools.cache
def trains_by_default(kind: Any) -> bool:
    """Whether ``call`` has the default ``training=True``, as in augmentation layers."""
    parameter = inspect.signature(kind.call).parameters.get("training")
    return parameter is not None and parameter.default is True
