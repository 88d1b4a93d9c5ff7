"""One layer -> a new layer like it, with the same weights.

A layer is created again from its configuration, but with the live initializers, regularizers,
constraints and functions in place of their serialized forms: those that are registered nowhere can
then be copied as well.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

import keras

from kito.errors import UnsupportedModelError
from kito.graph.clone_check import copy_trainable, find_mismatch
from kito.graph.clone_config import create_layer
from kito.graph.stock import is_stock, named_weights


class LayerClone:
    """A new layer that is not built yet; :meth:`finish` hands the weights over when it is.

    Attributes:
        layer: the new layer; whoever made this calls it, which builds it.
    """

    def __init__(
        self,
        original: Any,
        name: str,
        changes: Mapping[str, Any],
        weights: Mapping[str, Any | None],
        inner: Any = None,
        dtype: str | None = None,
    ) -> None:
        """Create a layer like ``original``.

        Args:
            original: the layer to copy.
            name: the name of the copy.
            changes: constructor arguments that differ from the original's.
            weights: tensors, by variable name, that differ from the original's; None for one that
                the copy has not.
            inner: the layer that the copy shall wrap, where the original is a wrapper.
            dtype: replaces the original's dtype policy where that is a float one.

        Raises:
            UnsupportedModelError: the layer cannot be created from its configuration.
        """
        self.original, self.changes, self.weights = original, changes, weights
        self.layer = create_layer(original, name, changes, inner, dtype)
        self.wraps = inner is not None
        if not self.wraps:
            self._skip_initializers()
        if hasattr(original, "save_assets"):
            if is_stock(type(original)):  # the weights of words for "tf_idf", which are no weights
                state: dict[str, Any] = {}
                original.save_own_variables(state)
                self.layer.load_own_variables(state)
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
        lost = find_mismatch(self.original, self.layer, self.changes)
        if lost is not None:
            raise UnsupportedModelError(
                f"layer '{self.original.name}' ({type(self.original).__name__}) cannot be copied: "
                f"its get_config() loses {lost} in a layer created from it. Return it in "
                "get_config()"
            )
        _copy_weights(self.original, self.layer, self.weights)
        copy_trainable(self.original, self.layer)


def _dtype(value: Any) -> str:
    return str(keras.backend.standardize_dtype(value.dtype))


def _copy_weights(original: Any, new: Any, changed: Mapping[str, Any]) -> None:
    if changed:
        values = {**{k: x.value for k, x in named_weights(original).items()}, **changed}
        variables = named_weights(new)
        for name, value in values.items():
            if value is not None:
                variables[name].assign(value)
        return
    twins = {variable.name: variable for variable in new.weights}
    names = [variable.name for variable in original.weights]
    # A quantized layer makes them in another order when it is new.
    named = len(twins) == len(new.weights) and sorted(names) == sorted(twins)
    others = [twins[name] for name in names] if named else new.weights
    pairs = list(zip(original.weights, others, strict=False))
    if len(original.weights) != len(new.weights) or any(a.shape != b.shape for a, b in pairs):
        raise UnsupportedModelError(
            f"layer '{original.name}' ({type(original).__name__}) cannot be copied: it has weights "
            f"of shapes {[tuple(x.shape) for x in original.weights]}, a layer created from its "
            f"get_config() has {[tuple(x.shape) for x in new.weights]}"
        )
    for variable, twin in pairs:
        twin.assign(variable.value)
    if new.weights and hasattr(original, "finalize_state"):
        new.finalize_state()  # Normalization keeps what it computed from its weights
