"""Clone one layer: a new layer of the same configuration, with the same weights and state.

:mod:`kito.graph.clone_config` creates the layer. Here, its slow initializers are skipped, and after
its first call it is compared with the original and gets the weights.
"""

from __future__ import annotations

import tempfile
from collections.abc import Container, Mapping
from typing import Any

import keras
import numpy as np

from kito.graph.clone_check import copy_trainable, find_mismatch
from kito.graph.clone_config import create_layer
from kito.graph.keras_internals import own_value
from kito.graph.limits import Limit, LimitFound
from kito.graph.stock import is_stock, named_weights


class LayerClone:
    """A clone of a layer that has no weights yet.

    Call :attr:`layer`, which builds it, then :meth:`finish`, which copies the weights.

    Attributes:
        layer: the new layer.
    """

    def __init__(
        self,
        original: Any,
        name: str,
        changes: Mapping[str, Any],
        weights: Mapping[str, np.ndarray | None],
        inner: Any = None,
        dtype: str | None = None,
    ) -> None:
        """Create a layer like ``original``.

        Args:
            original: the layer to clone.
            name: the name of the clone.
            changes: constructor arguments that differ from the original's.
            weights: values, by variable name, that differ from the original's; None for a
                variable that the clone does not have.
            inner: the layer that the clone wraps, if the original is a wrapper.
            dtype: replaces the original's dtype policy if that is a float one.

        Raises:
            UnsupportedModelError: the layer cannot be created from its configuration.
        """
        self.original, self.changes = original, changes
        # As tensors: a variable shares their memory, but copies arrays.
        self.weights = {
            name: None if x is None else keras.ops.convert_to_tensor(x)
            for name, x in weights.items()
        }
        self.layer = create_layer(original, name, changes, inner, dtype)
        self._copied: list[Any] = []
        self.wraps = inner is not None
        if not self.wraps:
            self._skip_initializers()
        if hasattr(original, "save_assets"):
            if is_stock(type(original)):  # the "tf_idf" weights of words are no Keras variables
                state: dict[str, Any] = {}
                original.save_own_variables(state)
                self.layer.load_own_variables(state)
            with tempfile.TemporaryDirectory() as folder:  # vocabularies are files, not weights
                original.save_assets(folder)
                self.layer.load_assets(folder)

    def _skip_initializers(self) -> None:
        """Create variables with their final values, or zeros.

        Random initial values would be overwritten at once, and are most of the cost of a layer.
        """
        add_weight = self.layer.add_weight
        final = {**{x.name: x.value for x in self.original.weights}, **self.weights}
        # Only Keras' own build() is known to leave them as they are.
        known = is_stock(type(self.original)) and len(final) >= len(self.original.weights)

        def add_final(shape: Any = None, initializer: Any = None, *more: Any, **named: Any) -> Any:
            value = final.get(named.get("name"))
            copied = False

            def initialize(shape: Any, dtype: Any = None) -> Any:
                nonlocal copied
                copied = value is not None and (tuple(value.shape), _dtype(value)) == (shape, dtype)
                return own_value(value) if copied else keras.ops.zeros(shape, dtype)

            initializer = initializer if shape is None else initialize
            variable = add_weight(shape, initializer, *more, **named)
            if copied and known:
                self._copied.append(variable)
            return variable

        self.layer.add_weight = add_final

    def finish(self) -> None:
        """Copy the weights and the ``trainable`` flags; the layer must be built.

        Raises:
            LimitFound: the clone differs from the original in more than the requested
                changes.
        """
        if self.wraps:
            return  # the wrapped layer has its own LayerClone
        del self.layer.add_weight
        mismatch = find_mismatch(self.original, self.layer, self.changes)
        if mismatch is not None:
            raise LimitFound(
                self.original,
                Limit.UNTRUSTED,
                f"its get_config() loses {mismatch} in a layer created from it. Return it in "
                "get_config()",
            )
        _copy_weights(self.original, self.layer, self.weights, {id(x) for x in self._copied})
        copy_trainable(self.original, self.layer)


def _dtype(value: Any) -> str:
    return str(keras.backend.standardize_dtype(value.dtype))


def _copy_weights(
    original: Any, clone: Any, changed: Mapping[str, Any], copied: Container[int]
) -> None:
    """Give ``clone`` the weights of ``original``, except those in ``changed``.

    Variables whose ids are in ``copied`` have their final values already.
    """
    if changed:
        values = {**{k: x.value for k, x in named_weights(original).items()}, **changed}
        variables = named_weights(clone)
        for name, value in values.items():
            if value is not None and id(variables[name]) not in copied:
                variables[name].assign(own_value(value))
        return
    by_name = {variable.name: variable for variable in clone.weights}
    names = [variable.name for variable in original.weights]
    # A new quantized layer creates its variables in another order, so match by name if possible.
    unique = len(by_name) == len(clone.weights) and sorted(names) == sorted(by_name)
    targets = [by_name[name] for name in names] if unique else clone.weights
    pairs = list(zip(original.weights, targets, strict=False))
    if len(original.weights) != len(clone.weights) or any(a.shape != b.shape for a, b in pairs):
        raise LimitFound(
            original,
            Limit.UNTRUSTED,
            f"it has weights of shapes {[tuple(x.shape) for x in original.weights]}, a layer "
            f"created from its get_config() has {[tuple(x.shape) for x in clone.weights]}",
        )
    for source, target in pairs:
        if id(target) not in copied:
            target.assign(own_value(source.value))
    if clone.weights and hasattr(original, "finalize_state"):
        clone.finalize_state()  # Normalization caches values computed from its weights
