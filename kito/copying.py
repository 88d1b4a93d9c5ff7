"""One layer -> a new layer like it, with the same weights.

A layer is created again from its configuration, but with the live initializers, regularizers,
constraints and functions in place of their serialized forms: those that are registered nowhere can
then be copied as well.
"""

from __future__ import annotations

import inspect
import tempfile
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import tree

from kito.errors import UnsupportedModelError

_PLAIN = (bool, int, float, str, type(None))


class LayerCopy:
    """A new layer that is not built yet; :meth:`finish` hands the weights over when it is.

    Attributes:
        layer: the new layer; whoever made this calls it, which builds it.
    """

    def __init__(
        self,
        original: Any,
        name: str,
        changes: Mapping[str, Any],
        weights: Mapping[str, Any],
        inner: Any = None,
        dtype: str | None = None,
    ) -> None:
        """Create a layer like ``original``.

        Args:
            original: the layer to copy.
            name: the name of the copy.
            changes: constructor arguments that differ from the original's.
            weights: tensors, by variable name, that differ from the original's.
            inner: the layer that the copy shall wrap, where the original is a wrapper.
            dtype: replaces the original's dtype policy where that is a float one.

        Raises:
            UnsupportedModelError: the layer cannot be created from its configuration.
        """
        self.original, self.changes, self.weights = original, changes, weights
        self.layer = _create(original, name, changes, inner, dtype)
        self.wraps = inner is not None
        if not self.wraps:
            self._skip_initializers()
        if hasattr(original, "save_assets"):
            with tempfile.TemporaryDirectory() as folder:  # vocabularies are files, not weights
                original.save_assets(folder)
                self.layer.load_assets(folder)

    def _skip_initializers(self) -> None:
        """Drawing random numbers that are overwritten at once is most of the cost of a layer."""
        add_weight = self.layer.add_weight
        final = {**{x.name: x.value for x in self.original.weights}, **self.weights}

        def add_final(shape: Any = None, initializer: Any = None, *more: Any, **named: Any) -> Any:
            value = final.get(named.get("name"))

            def initialize(shape: Any, dtype: Any = None) -> Any:
                fits = value is not None and (tuple(value.shape), _dtype(value)) == (shape, dtype)
                return value if fits else keras.ops.zeros(shape, dtype)

            return add_weight(shape, initializer if shape is None else initialize, *more, **named)

        self.layer.add_weight = add_final

    def finish(self) -> None:
        """Hand over the weights.

        Raises:
            UnsupportedModelError: the copy differs from the original in more than was asked for.
        """
        if self.wraps:
            return  # the wrapped layer has its own copy
        del self.layer.add_weight
        _check_attributes(self.original, self.layer, self.changes)
        _copy_weights(self.original, self.layer, self.weights)


def is_float(dtype: Any) -> bool:
    """Whether ``dtype`` names a floating point type of Keras."""
    return bool(keras.backend.is_float_dtype(keras.backend.standardize_dtype(dtype)))


def _dtype(value: Any) -> str:
    return str(keras.backend.standardize_dtype(value.dtype))


def _create(
    original: Any, name: str, changes: Mapping[str, Any], inner: Any, dtype: str | None
) -> Any:
    kind = type(original)
    errors: list[str] = []
    ways = [_plain_config, _live_config]
    if _is_stock(kind):
        ways = [_live_config, _plain_config, _signature_config]
    for make_config in ways:
        try:
            config = {**make_config(original, dtype), **changes}
            if "name" in config or _is_stock(kind):
                config["name"] = name
            if inner is not None:
                return kind(**{**config, "layer": inner})
            with _scope(original, dtype):
                layer = _factory(kind)(config)
            if layer.name != name:
                layer.name = name
            return layer
        except Exception as error:  # whatever a custom layer's __init__ or from_config may raise
            errors.append(f"{type(error).__name__}: {error}")
    raise UnsupportedModelError(
        f"layer '{original.name}' ({kind.__name__}) cannot be created again from its "
        f"get_config(): {errors[0]}. Let get_config() return every argument of its __init__"
    )


def _is_stock(kind: type) -> bool:
    return kind.__module__.split(".")[0] == "keras"


def _factory(kind: Any) -> Callable[[dict[str, Any]], Any]:
    inherited = kind.from_config.__func__ is keras.Layer.from_config.__func__
    if (inherited and _is_stock(kind)) or kind is keras.layers.Lambda:
        return lambda config: kind(**config)
    factory: Callable[[dict[str, Any]], Any] = kind.from_config
    return factory


def _plain_config(layer: Any, dtype: str | None) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what cannot be loaded from a file; none is written
        config = layer.get_config()
    if dtype is not None:
        config = _with_dtype(config, dtype)
        is_input = isinstance(layer, keras.layers.InputLayer)  # its policy is not its dtype
        if "dtype" in config and is_float(layer.dtype if is_input else layer.compute_dtype):
            config["dtype"] = dtype
    return dict(config)


def _live_config(layer: Any, dtype: str | None) -> dict[str, Any]:
    config = _plain_config(layer, dtype)
    for key, value in config.items():
        live = getattr(layer, key, None)
        serialized = isinstance(value, dict) or (isinstance(value, str) and callable(live))
        if key != "dtype" and live is not None and serialized and not _holds_layers(live):
            config[key] = live
    if "dtype" in config and dtype is None and not isinstance(layer, keras.layers.InputLayer):
        config["dtype"] = layer.dtype_policy
    return config


def _signature_config(layer: Any, dtype: str | None) -> dict[str, Any]:
    """From the arguments of ``__init__``, which layers of Keras keep under the same names.

    For a layer that holds, say, a regularizer that cannot tell its configuration.
    """
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    named = [x.name for x in parameters if x.kind is x.POSITIONAL_OR_KEYWORD and x.name != "self"]
    policy = dtype if dtype and is_float(layer.compute_dtype) else layer.dtype_policy
    config = {name: getattr(layer, name) for name in named}
    return {**config, "trainable": layer.trainable, "dtype": policy}


def _holds_layers(value: Any) -> bool:
    return any(isinstance(x, keras.Layer) for x in tree.flatten(value))


def _with_dtype(config: Any, dtype: str) -> Any:
    """A configuration in which every serialized float dtype policy, at any depth, is ``dtype``."""
    if isinstance(config, dict):
        if str(config.get("class_name", "")).endswith("DTypePolicy"):
            return dtype
        return {key: _with_dtype(value, dtype) for key, value in config.items()}
    return [_with_dtype(x, dtype) for x in config] if isinstance(config, list) else config


def _scope(layer: Any, dtype: str | None) -> Any:
    """Lets Keras find the classes and functions that the layer uses, registered or not."""
    custom: dict[str, Any] = {}
    for value in [layer, *vars(layer).values()]:
        for x in value if isinstance(value, list | tuple) else [value]:
            if hasattr(x, "get_config") and not _is_stock(type(x)):
                custom[type(x).__name__] = type(x)
            elif callable(x) and hasattr(x, "__name__"):
                custom[x.__name__] = x
    return keras.saving.custom_object_scope(custom)


def _check_attributes(original: Any, new: Any, changes: Mapping[str, Any]) -> None:
    """A layer whose get_config() forgets an argument would silently compute something else."""
    if _is_stock(type(original)):
        return
    for key, value in vars(original).items():
        if key.startswith("_") or key in {"name", "built", *changes} or not _is_plain(value):
            continue
        other = getattr(new, key, None)
        if _is_plain(other) and other != value and value == value:
            raise UnsupportedModelError(
                f"layer '{original.name}' ({type(original).__name__}) cannot be copied: its "
                f"get_config() loses '{key}', which is {value!r} but {other!r} in a layer created "
                f"from it. Return '{key}' in get_config()"
            )


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(x) for x in value)
    return isinstance(value, _PLAIN)


def _copy_weights(original: Any, new: Any, changed: Mapping[str, Any]) -> None:
    if changed:
        variables = {variable.name: variable for variable in new.weights}
        for variable in original.weights:
            if variable.name not in changed:
                variables[variable.name].assign(variable.value)
        for name, value in changed.items():
            variables[name].assign(value)
        return
    pairs = list(zip(original.weights, new.weights, strict=False))
    if len(original.weights) != len(new.weights) or any(a.shape != b.shape for a, b in pairs):
        raise UnsupportedModelError(
            f"layer '{original.name}' ({type(original).__name__}) cannot be copied: it has weights "
            f"of shapes {[tuple(x.shape) for x in original.weights]}, a layer created from its "
            f"get_config() has {[tuple(x.shape) for x in new.weights]}"
        )
    for variable, twin in pairs:
        twin.assign(variable.value)
    if hasattr(original, "finalize_state"):
        new.finalize_state()  # Normalization keeps what it computed from its weights
