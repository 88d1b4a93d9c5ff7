"""A layer and its copy side by side: what the copy lost, and which of its parts are frozen.

A layer of the user's may have a ``get_config()`` that forgets an argument. The copy made from it
would silently compute something else, so whatever both hold is compared: plain values, arrays,
functions, and the same of the layers inside.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import keras


def is_stock(kind: type) -> bool:
    """Whether the class is one of Keras' own, whose ``get_config()`` can be relied on."""
    return kind.__module__.split(".")[0] == "keras"


@functools.cache
def base_attributes() -> frozenset[str]:
    """The attributes that every layer has, or every model."""
    return frozenset({*vars(keras.Layer(name="any")), *vars(keras.Model(name="any"))})


def keras_name(kind: type) -> str:
    """For a class of Keras' own, "module.Class" without where Keras keeps it; "" for others."""
    package, _, rest = kind.__module__.partition(".")
    return f"{rest.removeprefix('src.')}.{kind.__name__}" if package == "keras" else ""


def named_weights(layer: Any) -> dict[str, Any]:
    """The variables of a layer by their names.

    Where layers inside it have some of the same name, those are called "query/kernel", say.
    """
    names = [variable.name for variable in layer.weights]
    if len(set(names)) < len(names):
        names = ["/".join(variable.path.split("/")[-2:]) for variable in layer.weights]
    return dict(zip(names, layer.weights, strict=True))


@functools.cache
def trains_by_default(kind: Any) -> bool:
    """Augmentation layers do: ``call(data, training=True)``."""
    parameter = inspect.signature(kind.call).parameters.get("training")
    return parameter is not None and parameter.default is True
