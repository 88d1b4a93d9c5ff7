"""Create a layer or a metric again from its configuration.

The configuration gets the live initializers, regularizers, constraints and functions in place of
their serialized forms, so that objects that are not registered with Keras can be copied, too.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import tree

from kito.errors import UnsupportedModelError
from kito.graph.stock import is_stock


def is_float(dtype: Any) -> bool:
    """Whether ``dtype`` names a floating point type of Keras."""
    return bool(keras.backend.is_float_dtype(keras.backend.standardize_dtype(dtype)))


def create_layer(
    original: Any, name: str, changes: Mapping[str, Any], inner: Any, dtype: str | None
) -> Any:
    """A new layer like ``original``, not built, without its weights.

    Args:
        original: the layer to clone.
        name: the name of the new layer.
        changes: constructor arguments that differ from the original's.
        inner: the layer that the new layer wraps, if the original is a wrapper; else None.
        dtype: replaces the original's dtype policy if that is a float one.

    Raises:
        UnsupportedModelError: the layer cannot be created from its configuration.
    """
    kind = type(original)
    errors: list[str] = []
    ways = [_plain_config, _live_config, _named_config]
    if is_stock(kind):
        ways = [_live_config, _plain_config, _signature_config]
    for make_config in ways:
        try:
            config = _without_live_layers({**make_config(original, dtype), **changes}, dtype)
            if "name" in config or is_stock(kind):
                config["name"] = name
            if inner is not None:
                return kind(**{**config, "layer": inner})
            with _scope(original):
                layer = _factory(kind)(config)
            if layer.name != name:
                layer.name = name
            return layer
        except Exception as error:  # whatever a custom layer's __init__ or from_config may raise
            errors.append(f"{type(error).__name__}: {_brief(error)}")
    raise UnsupportedModelError(
        f"layer '{original.name}' ({kind.__name__}) cannot be created again from its "
        f"get_config(): {errors[0]}. Let get_config() return every argument of its __init__"
    )


def _brief(error: Exception) -> str:
    """The message in one line; of a long one, its start and its end."""
    text = " ".join(str(error).split()).split(" Example:")[0].removesuffix(".")
    return text if len(text) < 400 else f"{text[:200]} ... {text[-200:]}"


def _factory(kind: Any) -> Any:
    """The function that creates a layer of this class from a configuration."""
    inherited = kind.from_config.__func__ is keras.Layer.from_config.__func__
    if (inherited and is_stock(kind)) or kind is keras.layers.Lambda:
        return lambda config: kind(**config)
    return kind.from_config


def _plain_config(layer: Any, dtype: str | None) -> dict[str, Any]:
    """``get_config()`` as it is, except for the dtype."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about objects that cannot be loaded from a file
        config = layer.get_config()
    if dtype is not None:
        config = _with_dtype(config, dtype)
        is_input = isinstance(layer, keras.layers.InputLayer)  # its policy is not its dtype
        if "dtype" in config and is_float(layer.dtype if is_input else layer.compute_dtype):
            config["dtype"] = dtype
    return dict(config)


def _live_config(layer: Any, dtype: str | None) -> dict[str, Any]:
    """``get_config()`` with live objects in place of serialized ones."""
    config = _with_live_objects(layer, _plain_config(layer, dtype))
    if "dtype" in config and dtype is None and not isinstance(layer, keras.layers.InputLayer):
        config["dtype"] = layer.dtype_policy
    return config


def _with_live_objects(owner: Any, config: dict[str, Any]) -> dict[str, Any]:
    live_config = dict(config)
    for key, value in config.items():
        live = getattr(owner, key, getattr(owner, f"_{key}", None))
        serialized = isinstance(value, dict) or (isinstance(value, str) and callable(live))
        if key != "dtype" and live is not None and serialized and not _holds_layers(live):
            live_config[key] = live
    return live_config


def _named_config(layer: Any, dtype: str | None) -> dict[str, Any]:
    """:func:`_live_config` without entries that ``__init__`` does not take."""
    config = _live_config(layer, dtype)
    known = {"name", "trainable", "dtype", *inspect.signature(type(layer).__init__).parameters}
    return {key: value for key, value in config.items() if key in known}


def _signature_config(layer: Any, dtype: str | None) -> dict[str, Any]:
    """The arguments of ``__init__``, read from the attributes of the same names of Keras' layers.

    For a layer whose ``get_config()`` fails, because of a regularizer without one, say.
    """
    policy = dtype if dtype and is_float(layer.compute_dtype) else layer.dtype_policy
    return {**_arguments(layer), "trainable": layer.trainable, "dtype": policy}


def _arguments(instance: Any) -> dict[str, Any]:
    parameters = inspect.signature(type(instance).__init__).parameters.values()
    named = [x.name for x in parameters if x.kind is x.POSITIONAL_OR_KEYWORD and x.name != "self"]
    return {name: getattr(instance, name) for name in named}


def _without_live_layers(config: dict[str, Any], dtype: str | None) -> dict[str, Any]:
    """The configuration with clones in place of live layers, which belong to the original."""
    clones: dict[int, Any] = {}

    def clone(x: Any) -> Any:
        if not isinstance(x, keras.Layer):
            return x
        if id(x) not in clones:
            clones[id(x)] = create_layer(x, x.name, {}, None, dtype)
        return clones[id(x)]

    return {
        key: tree.map_structure(clone, value) if _holds_layers(value) else value
        for key, value in config.items()
    }


def _holds_layers(value: Any) -> bool:
    return any(isinstance(x, keras.Layer) for x in tree.flatten(value))


def _with_dtype(config: Any, dtype: str) -> Any:
    """The configuration with ``dtype`` in place of every serialized dtype policy, at any depth."""
    if isinstance(config, dict):
        if str(config.get("class_name", "")).endswith("DTypePolicy"):
            return dtype
        return {key: _with_dtype(value, dtype) for key, value in config.items()}
    return [_with_dtype(x, dtype) for x in config] if isinstance(config, list) else config


def _scope(layer: Any) -> Any:
    """A scope in which Keras finds the custom classes and functions that the layer uses."""
    custom: dict[str, Any] = {}
    seen: set[int] = set()

    def visit(value: Any) -> None:
        if isinstance(value, list | tuple):
            for x in value:
                visit(x)
        elif hasattr(value, "get_config") and id(value) not in seen:
            seen.add(id(value))
            if not is_stock(type(value)):
                custom[type(value).__name__] = type(value)
            for x in vars(value).values():
                visit(x)
        elif callable(value) and hasattr(value, "__name__"):
            custom[value.__name__] = value

    visit(layer)
    return keras.saving.custom_object_scope(custom)


def clone_metric(metric: Any) -> Any:
    """A metric like ``metric``, with its own state; names and functions are returned unchanged.

    Raises:
        UnsupportedModelError: the metric cannot be created from its configuration.
    """
    if not isinstance(metric, keras.Metric):
        return metric
    kind: Any = type(metric)
    ways: list[Callable[[], Any]] = [
        lambda: kind.from_config(metric.get_config()),
        lambda: kind(**_with_live_objects(metric, metric.get_config())),
        lambda: kind(**_arguments(metric)),
    ]
    errors: list[str] = []
    for create in ways:
        try:
            with _scope(metric):
                return create()
        except Exception as error:  # whatever a custom metric may raise
            errors.append(f"{type(error).__name__}: {_brief(error)}")
    raise UnsupportedModelError(
        f"metric '{metric.name}' ({kind.__name__}), which the model is compiled with, cannot be "
        f"created again from its get_config(): {errors[0]}. Let get_config() return every "
        "argument of its __init__"
    )
